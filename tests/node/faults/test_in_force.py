"""A node names the faults in force."""

from node.faults.in_force import InForce


def test_each_port_has_its_own_and_the_newest_order_counts() -> None:
    here = InForce()
    assert here.ids() == []

    here.set("links", [5, 2])
    here.set("disk", [3])
    assert here.ids() == [2, 3, 5]

    here.set("links", [7])
    here.set("disk", [])
    assert here.ids() == [7]
