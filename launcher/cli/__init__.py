"""The command line: what a person types, and what a person reads.

    table       the commands, in the order of the help; each is loaded when it is asked for
    commands/   the commands themselves, a module for each topic
    rows        what commands are made of: decorators and options that several of them have
    lazy        a group of commands that loads them on demand
    context     what every command can reach: the configuration and the cluster
    parameters  the types of arguments and options, which know what can be completed
    completion  completion, for shells and for the prompt

    shell       runs one command line and turns errors into messages and exit statuses
    repl        runs lines that a person types or a pipe brings: entries and commands
    prompt      reads such lines from a terminal
    foreground  what `up` does until it is told to end
    events      prints the timeline
    seeds       runs simulations for `simulate`
    planting    prints planted bugs, for `simulate`
    stories     lists and plays stories
    output      results as JSON, bytes and lines; `status_table` and `links_table` have the tables
                of `ps`, and `pace` the line below them
    log_view    the logs side by side, for `log`
    live        text that is redrawn in place
    progress    progress bars

This wing is the outermost: it may import every other wing of the launcher except the supervisor,
and nothing imports it but `launcher/__main__.py`. A command does its work through
`launcher.cluster.Cluster`; nothing here knows how a node or a supervisor works.

Start-up time matters: each command is a new process, and a shell starts one whenever somebody
presses Tab. So `--help` and completion load neither the cluster nor YAML. An import that stands in
a function is there for this reason, and the comment above it says so.
"""
