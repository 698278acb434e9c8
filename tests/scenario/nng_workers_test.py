"""What durable leased work is to workers that have only nng: examples/nng-worker.c is killed in the middle
of its work, several times, once over the gateway's PUSH and once with leases over REP. Over PUSH records
are gone that nobody worked on; of the leased ones none is, also when the gateway is killed as well.

    nng_workers_test.py NNG_WORKER

It takes some seconds: a worker that works on nothing would be done before it could be killed, and a killed
worker's lease has to end. What it counts is printed, and stands in docs/nng.md.
"""
import sys

import support

WORKER = sys.argv[1]
RECORDS = 1000
KILLS = 3
EACH = 60  # records that a worker has done when it is killed
WORK_MS = "1"
LEASE_MS = int(500 * support.SLOW)
VALUE = "%04d " + "x" * 2000


def gateway_of(scene, *settings):
    gateway = scene.gateway("nng.enabled=true", *settings,
                            *(f"nng.{name}.url=tcp://127.0.0.1:0" for name in ("rep", "pull", "pub", "push")))
    gateway.ports_keep()
    return gateway


def worked(scene, gateway, command, between=lambda kill: None):
    """Publishes RECORDS numbered ones. Starts a worker, kills it when it has done EACH records, and starts
    the next one; the last one goes on to the end. How often each record was worked on."""
    times = [0] * RECORDS
    gateway.weir("pub", "jobs", "-l", stdin="\n".join(VALUE % i for i in range(RECORDS)).encode())
    for kill in range(KILLS + 1):
        worker = scene.process(command)
        if kill < KILLS:
            worker.wait_lines(EACH)
            worker.end()
            between(kill)
        else:
            gateway.weir("pub", "jobs", "-m", "end")
            assert worker.wait() == 0, worker.text()
        for line in worker.lines():
            if line != b"end":
                times[int(line.split()[0])] += 1
    return times


def tell(road, times):
    lost, twice = times.count(0), sum(count > 1 for count in times)
    print(f"{road}: of {RECORDS} records {lost} lost, {twice} worked on twice, by {KILLS} kills", flush=True)
    return lost, twice


def over_push_killed_workers_lose_records():
    with support.Scene() as scene:
        gateway = gateway_of(scene, "nng.push.topic=jobs")
        gateway.weir("topic", "create", "jobs")
        lost, twice = tell("push", worked(scene, gateway, [WORKER, "pull", gateway.ports()["nng.push"], WORK_MS]))
        assert lost >= KILLS, "each kill takes what was on its way to the worker"
        assert twice == 0, "PUSH gives nothing twice"


def over_leases_killed_workers_lose_nothing():
    with support.Scene() as scene:
        gateway = gateway_of(scene)
        gateway.weir("queue", "create", "jobs", "--lease-ms", str(LEASE_MS), "--delivery-limit", "20")

        def gateway_too(kill):
            if kill == 1:
                gateway.kill()
                gateway.start()

        command = [WORKER, "lease", gateway.ports()["nng.rep"], "jobs", WORK_MS]
        lost, _ = tell("lease", worked(scene, gateway, command, gateway_too))
        assert lost == 0, "a record was lost"


def a_worker_outlives_its_gateway():
    with support.Scene() as scene:
        gateway = gateway_of(scene)
        gateway.weir("queue", "create", "jobs", "--lease-ms", str(LEASE_MS))
        worker = scene.process([WORKER, "lease", gateway.ports()["nng.rep"], "jobs"])
        gateway.weir("pub", "jobs", "-m", "before")
        worker.wait_lines(1)
        gateway.kill()
        gateway.start()
        gateway.weir("pub", "jobs", "-m", "after")
        gateway.weir("pub", "jobs", "-m", "end")
        assert worker.wait() == 0, worker.text()
        assert set(worker.lines()) == {b"before", b"after", b"end"}, worker.lines()


support.run_tests([
    over_push_killed_workers_lose_records,
    over_leases_killed_workers_lose_nothing,
    a_worker_outlives_its_gateway,
], *sys.argv[2:])
