"""What goes wrong in a simulated run: the schedule of faults, and the nemesis that injects them."""
