"""The file of tasks that ``instar bench init`` writes; it runs as it is, without any set-up."""

__all__ = ["EXAMPLE"]

EXAMPLE = r"""# Tasks of your own: one JSON object a line. Lines that begin with # are skipped.
#
# Every task has an instruction, one place to work (files, url or tools), and at most one way to
# tell how it went (check, answer, verifier or outcome). A task that is not marked with a split is
# held out: `instar bench run` measures on it, and nothing ever learns from it.

# A command that exits with 0 for success. It runs in the folder in which the agent worked.
{"id": "greeting", "instruction": "Write hello into the file greeting.txt", "files": {}, "check": "grep -q hello greeting.txt"}
{"id": "copy", "instruction": "Copy the file notes.txt to archive.txt", "files": {"notes.txt": "buy milk\n"}, "check": ["cmp", "notes.txt", "archive.txt"]}

# The answer with which the agent finishes, as it is or as a regular expression.
{"id": "sum", "instruction": "Read prices.txt and finish with the sum of the prices", "files": {"prices.txt": "12\n30\n"}, "answer": "42"}

# Tasks to learn from, and tasks on which what was learnt is judged before it is used.
{"id": "shout", "instruction": "Write HELLO into the file greeting.txt", "split": "practise", "files": {}, "check": "grep -q HELLO greeting.txt"}
{"id": "owner", "instruction": "Read car.txt and finish with the name of the owner", "split": "gate", "files": {"car.txt": "colour: red\nowner: Ada\n"}, "answer": {"pattern": "(?i).*\\bada\\b.*"}}

# To use one of these, put your own names in and take the # away.
#
# A folder beside this file; each attempt works on a fresh copy. The check is a program beside this file.
# {"instruction": "Make the tests pass", "files": "project", "check": "python3 \"$INSTAR_TASKS_DIR/check.py\"", "seconds": 300}
#
# A page. verify(task, answer, episode) in my_checks.py beside this file returns True or False.
# {"instruction": "Put a red bicycle into the basket", "url": "http://127.0.0.1:8000/", "verifier": "my_checks.verify"}
#
# Functions as tools; what a model is told of them comes from their signatures and docstrings.
# {"instruction": "Book a table for two", "tools": ["my_tools.find_table", "my_tools.book"], "outcome": "later"}
"""
