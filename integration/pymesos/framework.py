#!/usr/bin/env python3
"""A framework on pymesos: runs a task N times and tells what became of each.

usage: PYTHONPATH=DIRECTORY/packages framework.py --master HOST:PORT --task FILE.json --instances N [--timeout SECONDS]

FILE holds a TaskInfo of the v1 API in JSON without ids, "-" is stdin. Writes one JSON object per status to stdout, with
`event` UPDATE, `task_id`, `state` and `status`, and at the end one with `event` EXIT and `tasks` (id to last state).

Exit status: 0 when every task finished, 1 when one ended otherwise, 3 when the time was over. The framework is torn down
in each case.
"""

import argparse
import copy
import json
import sys
import threading

from addict import Dict
from pymesos import MesosSchedulerDriver, Scheduler, decode_data

TERMINAL = {
    "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
}  # fmt: skip
CPUS, MEM = 0.1, 32


def report(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Instances(Scheduler):
    """Launches as many instances as offers have room for, until all were launched."""

    def __init__(self, task, instances):
        self.task = task
        self.waiting = [f"pymesos-{number}" for number in range(instances)]
        self.states = {}
        self.left = instances
        self.done = threading.Event()

    def resourceOffers(self, driver, offers):
        for offer in offers:
            room = {item.name: item.scalar.value for item in offer.resources if item.type == "SCALAR"}
            count = int(min(room.get("cpus", 0) / CPUS, room.get("mem", 0) / MEM, len(self.waiting)) + 1e-9)
            tasks = [self.instance(self.waiting.pop(0), offer.agent_id) for _ in range(count)]
            if tasks:
                driver.launchTasks(offer.id, tasks)
            else:
                driver.declineOffer(offer.id)

    def instance(self, task_id, agent_id):
        task = Dict(copy.deepcopy(self.task))
        task.task_id.value = task_id
        task.agent_id = agent_id
        task.setdefault("name", "pymesos")
        task.resources = [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": CPUS}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": MEM}},
        ]
        return task

    def statusUpdate(self, driver, update):
        task_id, state = update.task_id.value, update.state
        if update.data:
            # pymesos gives the bytes in their JSON form; they must decode.
            json.loads(decode_data(update.data))
        if state in TERMINAL and self.states.get(task_id) not in TERMINAL:
            self.left -= 1
        self.states[task_id] = state
        report("UPDATE", task_id=task_id, state=state, status=update)
        if self.left == 0:
            self.done.set()


def main():
    parser = argparse.ArgumentParser(description="runs a task N times through pymesos")
    parser.add_argument("--master", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=100)
    arguments = parser.parse_args()
    with sys.stdin if arguments.task == "-" else open(arguments.task, encoding="utf-8") as file:
        task = json.load(file)
    scheduler = Instances(task, arguments.instances)
    framework = Dict(user="root", name="pymesos", checkpoint=True)
    driver = MesosSchedulerDriver(scheduler, framework, arguments.master, use_addict=True)
    driver.start()
    over = not scheduler.done.wait(arguments.timeout)
    driver.stop()
    report("EXIT", tasks=scheduler.states)
    if over:
        return 3
    return 0 if set(scheduler.states.values()) == {"TASK_FINISHED"} else 1


if __name__ == "__main__":
    sys.exit(main())
