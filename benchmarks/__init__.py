"""deepmat's speed against a plain reference, side by side in one run: `python -m benchmarks NAME`.

A benchmark is a module with

    prepare(folder)      make what both sides read
    SIDES                name -> function(folder) -> number of items done; "reference" is the obvious way, plainly, or
                         "reference, NAME" that for one side alone. Or -> (items, seconds), where a side keeps the time
                         itself; or -> (items, seconds, {figure: number}), other figures to show
    UNIT                 what an item is

Every side runs in a process of its own, in turn, several rounds; the fastest round of each counts, since other work on
the machine only ever slows one down.
"""
