#!/usr/bin/env python3
"""A custom executor on pymesos: runs the tasks that it is given as their data says.

usage: PYTHONPATH=DIRECTORY/packages executor.py, by an agent, which sets MESOS_* in its environment

A task's data is a JSON object, {} if it has none:

    say      a line for stdout, written when the task starts
    seconds  how long it runs
    until    a file of the sandbox; it runs until that is there, and removes it; without both until it is told to end
    state    the state in which it ends, TASK_FINISHED if none is given

A framework message is answered with `echo: ` and its text. `finish TASK` ends a task besides, `exit STATUS` the executor
without a word to anyone. A kill ends a task with TASK_KILLED.

Writes one line for each event to stdout: REGISTERED, REREGISTERED, DISCONNECTED, LAUNCH task, KILL task, MESSAGE text,
SHUTDOWN, and the lines of the tasks. Exits with 0 after a SHUTDOWN.
"""

import base64
import json
import os
import queue
import sys
import threading
import time
import uuid

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data

RETRY_SECONDS = 0.1  # Between two tries to send, or two looks for a file.


def log(*words):
    print(*words, flush=True)


class Tasks(Executor):
    def __init__(self):
        self.running = {}  # From id to the state that the task would end in.
        self.lock = threading.Lock()
        # One thread sends, in order: the driver's own must not wait for an agent that is away.
        self.outgoing = queue.Queue()

    def registered(self, driver, executor_info, framework_info, agent_info):
        log("REGISTERED")

    def reregistered(self, driver, agent_info):
        log("REREGISTERED")

    def disconnected(self, driver):
        log("DISCONNECTED")

    def launchTask(self, driver, task):
        task_id = task["task_id"]["value"]
        orders = json.loads(decode_data(task["data"])) if task.get("data") else {}
        log("LAUNCH", task_id)
        if "say" in orders:
            log(orders["say"])
        with self.lock:
            self.running[task_id] = orders.get("state", "TASK_FINISHED")
        self.update(driver, task_id, "TASK_RUNNING")
        if "seconds" in orders:
            timer = threading.Timer(orders["seconds"], self.end, (driver, task_id))
            timer.daemon = True
            timer.start()
        if "until" in orders:
            file = os.path.join(os.environ["MESOS_SANDBOX"], orders["until"])
            threading.Thread(target=self.wait, args=(driver, task_id, file), daemon=True).start()

    def wait(self, driver, task_id, file):
        while not os.path.exists(file):
            time.sleep(RETRY_SECONDS)
        self.end(driver, task_id)
        os.remove(file)

    def killTask(self, driver, task_id):
        log("KILL", task_id["value"])
        self.end(driver, task_id["value"], "TASK_KILLED")

    def frameworkMessage(self, driver, message):
        text = decode_data(message).decode()
        log("MESSAGE", text)
        self.outgoing.put(lambda: driver.sendFrameworkMessage(encode_data(f"echo: {text}".encode())))
        word, _, rest = text.partition(" ")
        if word == "finish":
            self.end(driver, rest)
        elif word == "exit":
            os._exit(int(rest))

    def shutdown(self, driver):
        log("SHUTDOWN")

    def error(self, driver, message):
        log("ERROR", message)

    def end(self, driver, task_id, state=None):
        with self.lock:
            otherwise = self.running.pop(task_id, None)
        if otherwise:
            self.update(driver, task_id, state or otherwise)

    def update(self, driver, task_id, state):
        unique = uuid.uuid4()
        status = {
            "task_id": {"value": task_id},
            "state": state,
            "timestamp": int(time.time()),
            "uuid": base64.b64encode(unique.bytes).decode(),
            "source": "SOURCE_EXECUTOR",
        }
        # The driver tells these again when it subscribes, and takes those away that are acknowledged, but does not put
        # them there itself.
        driver.updates[unique] = {"status": status}
        self.outgoing.put(lambda: unique in driver.updates and driver.sendStatusUpdate(status))

    def send(self):
        while True:
            call = self.outgoing.get()
            while True:
                try:
                    call()
                    break
                except Exception as error:  # The agent is away: the driver finds it again.
                    print("not sent:", error, file=sys.stderr, flush=True)
                    time.sleep(RETRY_SECONDS)


def main():
    tasks = Tasks()
    driver = MesosExecutorDriver(tasks)
    threading.Thread(target=tasks.send, daemon=True).start()
    driver.run()


if __name__ == "__main__":
    main()
