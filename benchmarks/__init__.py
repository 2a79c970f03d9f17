"""deepmat's speed against a plain reference, side by side in one run: `python -m benchmarks NAME`.

A benchmark is a module with

    prepare(folder)      make what both sides read
    SIDES                name -> function(folder); "reference" is the obvious way, plainly
    UNIT                 what an item is
    THREADS              processor cores that a side may use; 1 if it does not say

A side returns the number of items done; or that and the seconds they took, where it did something else before; or also
a dict of other figures. Sides are compared with the "reference" of their group, "2 MP: tile" with "2 MP: reference".

Every side runs in a process of its own, in turn, several rounds; the fastest round of each counts, since other work on
the machine only ever slows one down.
"""
