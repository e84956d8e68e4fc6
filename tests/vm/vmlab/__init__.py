"""Two small real Debian systems in an emulator, and what surrounds them: for what needs a kernel of its own (restarts,
watchdogs, panics, power cuts). See lab.py for the pair, machine.py for one machine, image.py for what it boots."""
