"""The recipe of examples/once.c: each order has one invoice, however often its workers and the gateway are
killed, and also when the whole group is set back and does all of it again.

    effectively_once_test.py ONCE

It takes some seconds: after the gateway was killed, what a worker owned waits for session_ms.
"""
import json
import os
import sys

import support

ONCE = sys.argv[1]
ORDERS = 2000
KEYS = 40
KILLS = 6
WORKERS = 2
SESSION_MS = 10000


def lag(gateway):
    rows = json.loads(gateway.weir("group", "lag", "billing", "--json"))
    return sum(row["lag"] for row in rows)


def invoices(gateway):
    out = gateway.weir("sub", "invoices/#", "--from", "beginning", "-e", "-F", "%k %s")
    return out.decode().splitlines()


def counted(workers):
    """(stored, repeated) as the workers told."""
    words = [line.split() for worker in workers for line in worker.lines()]
    return sum(int(line[0]) for line in words), sum(int(line[2]) for line in words)


def killed_workers_and_gateways_leave_one_invoice_for_each_order():
    with support.Scene() as scene:
        gateway = scene.gateway()
        gateway.weir("topic", "create", "orders", "--partitions", "4", "-d", "os")
        gateway.weir("topic", "create", "invoices", "--partitions", "3", "-d", "os")
        gateway.weir("group", "create", "billing", "--topic", "orders", "--session-ms", str(SESSION_MS))
        command = [ONCE, "unix:" + os.path.join(gateway.data, "weir.sock"), "billing", "orders", "invoices"]
        workers = [scene.process(command) for _ in range(WORKERS)]
        everyone = list(workers)
        sent = 0
        for kill in range(KILLS + 1):
            step = ORDERS // (KILLS + 1)
            before = counted(everyone)[0]
            lines = [f"k{i % KEYS}:order {i}" for i in range(sent, sent + step)]
            gateway.weir("pub", "orders", "-l", "-K", ":", stdin="\n".join(lines).encode())
            sent += step
            support.wait_until("some invoices", lambda: counted(everyone)[0] > before)
            if kill < KILLS:
                which = kill % WORKERS
                workers[which].end()
                if kill % 3 == 2:
                    gateway.kill()
                    gateway.start()
                workers[which] = scene.process(command)
                everyone.append(workers[which])
        support.wait_until("everything to be committed", lambda: lag(gateway) == 0)
        expected = sorted(f"k{i % KEYS} invoice for order {i}" for i in range(sent))
        got = invoices(gateway)
        assert sorted(got) == expected, f"{len(got)} invoices for {sent} orders, {len(set(got))} of them different"
        for key in range(KEYS):  # and in the order of their orders
            of_key = [int(line.rsplit(" ", 1)[1]) for line in got if line.startswith(f"k{key} ")]
            assert of_key == sorted(of_key), (key, of_key)

        for worker in workers:
            worker.end()
        support.wait_until("the workers to be out", lambda: gateway.weir(
            "group", "reset", "billing", "--to", "beginning", code=None).returncode == 0)
        again = scene.process(command)
        support.wait_until("all of it to be done again", lambda: lag(gateway) == 0 and counted([again])[1] >= sent)
        assert counted([again]) == (0, sent), counted([again])
        assert sorted(invoices(gateway)) == expected, "done twice"
        print(f"{sent} orders, {KILLS} workers and {KILLS // 3} gateways killed: {sent} invoices; before the reset "
              f"{counted(everyone)[1]} were published again and not stored", flush=True)


support.run_tests([killed_workers_and_gateways_leave_one_invoice_for_each_order], *sys.argv[2:])
