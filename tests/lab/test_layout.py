"""Names, addresses and machines of a lab."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbops.base.errors import LabError, UsageError
from nbops.lab.layout import (
    MOST_BALANCERS,
    RANGE,
    Redis,
    Role,
    Shape,
    Subnet,
    Wish,
    check_name,
    choose_subnet,
    find_machine,
    grows,
    machine_name,
    machines,
    wanted_shape,
)

ALL = [Subnet(number).network for number in range(512)]


def test_the_first_lab_gets_the_first_subnet() -> None:
    assert choose_subnet([]).network == IPv4Network("198.18.0.0/24")


def test_routes_of_the_whole_range_and_beyond_leave_it_free() -> None:
    taken = [IPv4Network("0.0.0.0/0"), RANGE, IPv4Network("10.0.0.0/8")]
    assert choose_subnet(taken).number == 0


def test_a_larger_network_in_the_range_takes_all_that_it_covers() -> None:
    assert choose_subnet([IPv4Network("198.18.0.0/16")]).network == IPv4Network("198.19.0.0/24")


def test_a_single_address_takes_its_subnet() -> None:
    assert choose_subnet([IPv4Network("198.18.0.9/32")]).number == 1


def test_a_full_range_is_said() -> None:
    with pytest.raises(LabError, match="in use"):
        choose_subnet(ALL)


@given(st.sets(st.integers(0, 511), max_size=511))
def test_a_chosen_subnet_is_never_in_use(taken: set[int]) -> None:
    chosen = choose_subnet([Subnet(number).network for number in taken])
    assert chosen.number not in taken
    assert chosen.network.subnet_of(RANGE)


@given(st.integers(0, 511), st.integers(1, 32))
def test_every_machine_has_an_address_of_its_own_in_the_subnet(number: int, nodes: int) -> None:
    subnet = Subnet(number)
    found = machines(subnet, Shape(nodes, balancers=MOST_BALANCERS, redis=Redis.SEPARATE))
    addresses = {machine.address for machine in found} | {subnet.box}
    assert len(addresses) == len(found) + 1
    assert all(IPv4Network(address).subnet_of(subnet.network) for address in addresses)


@given(st.integers(0, 511), st.integers(1, 32))
def test_every_interface_name_fits_the_kernel(number: int, nodes: int) -> None:
    subnet = Subnet(number)
    assert len(subnet.outer) <= 15
    assert len(subnet.inner) <= 15
    shape = Shape(nodes, balancers=MOST_BALANCERS, redis=Redis.SEPARATE)
    for machine in machines(subnet, shape):
        assert len(f"vb-{machine_name(machine.host, subnet)}") <= 15


def test_a_lab_has_one_machine_of_each_kind_and_as_many_nodes_as_asked() -> None:
    found = machines(Subnet(3), Shape(2))
    assert {m.host: m.role for m in found} == {
        "registry": Role.REGISTRY,
        "lb": Role.BALANCER,
        "db": Role.DATABASE,
        "cache": Role.REDIS,
        "node1": Role.APP,
        "node2": Role.APP,
    }


@pytest.mark.parametrize("name", ["lab", "a", "trial-2", "a" * 31])
def test_ordinary_names_are_taken(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "2nd", "-x", "Lab", "a b", "a/../b", "a" * 32, "lab\n", "é"])
def test_other_names_are_refused_with_an_example(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert "--name" in (caught.value.problems[0].hint or "")


@pytest.mark.parametrize(
    "wish",
    [
        Wish(nodes=0),
        Wish(nodes=33),
        Wish(balancers=5),
        Wish(app="wordpress"),
        Wish(runtime="podman"),
        Wish(database="oracle"),
        Wish(balancer="caddy"),
        Wish(redis="two"),
    ],
)
def test_a_shape_that_makes_no_sense_is_refused_with_what_there_is(wish: Wish) -> None:
    with pytest.raises(UsageError) as caught:
        wanted_shape(wish)
    assert caught.value.problems[0].hint


def test_what_is_not_asked_for_is_as_usual_or_as_the_lab_is() -> None:
    assert wanted_shape(Wish()) == Shape()
    standing = wanted_shape(Wish(nodes=2, app="sample", redis="separate"))
    assert wanted_shape(Wish(nodes=4), standing) == replace(standing, nodes=4)


def test_only_more_nodes_are_growth() -> None:
    assert grows(Shape(3), Shape(4))
    assert not grows(Shape(3), Shape(3))
    assert not grows(Shape(3), Shape(2))
    assert not grows(Shape(3), Shape(4, balancers=2))


def test_a_lab_that_grows_keeps_every_machine_that_it_has() -> None:
    assert set(machines(Subnet(5), Shape(3))) < set(machines(Subnet(5), Shape(4)))


def test_balancers_and_servers_of_redis_are_machines_of_their_own() -> None:
    shape = wanted_shape(Wish(nodes=1, balancers=2, redis="separate"))
    hosts = {m.host: m.role for m in machines(Subnet(0), shape)}
    assert [host for host, role in hosts.items() if role is Role.BALANCER] == ["lb", "lb2"]
    redis = [host for host, role in hosts.items() if role is Role.REDIS]
    assert redis == ["cache", "pubsub", "lock", "queue", "ids"]


def test_a_shape_says_what_is_unusual_about_it() -> None:
    assert str(Shape(2)) == "2 nodes for nocobase 2.2.15"
    shape = wanted_shape(Wish(nodes=1, database="mariadb", balancers=2, redis="separate"))
    assert str(shape) == (
        "1 node for nocobase 2.2.15, mariadb, 2 balancers, a Redis for each function"
    )


def test_an_unknown_machine_brings_the_nearest_name() -> None:
    with pytest.raises(LabError, match="no machine 'nod1'") as caught:
        find_machine("nod1", machines(Subnet(0), Shape(1)))
    assert caught.value.problems[0].hint == "did you mean `node1`?"


def test_a_machine_like_no_other_brings_all_names() -> None:
    with pytest.raises(LabError) as caught:
        find_machine("xyzzy", machines(Subnet(0), Shape(1)))
    assert "registry, lb, db, cache, node1" in (caught.value.problems[0].hint or "")
