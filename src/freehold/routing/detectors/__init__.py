"""Detectors: what a prompt holds that should not go everywhere, as kind and position. Pure.

Promised: linear time whatever the text, no text in any finding, and a detector that fails says so as a finding of its
own, which counts as the highest label. One pass of an automaton finds literal anchors; what stands at an anchor is
checked by expressions that look at a bounded piece. Digits are found by a second pass, only where there are enough.

Deliberately not done: reading images, files and token ids; names and addresses of people (no checksum, no shape);
text that somebody encoded to hide it.

    anchored.py   a rule: literal beginnings, what must follow, what must not stand before
    vendor_rules.py   keys and tokens of vendors, as data, each with its source
    secret_rules.py   secrets that no vendor marks: private keys, tokens of standards, assigned values
    secret_values.py  whether a value is a secret or a placeholder: variety, words, decoding
    checksums.py  Luhn, ISO 7064 and the check digits of national ids
    number_shapes.py  how cards and national ids are written, as data
    numbers.py    finding them among the digits of a text
    ibans.py      bank accounts
    contacts.py   e-mail addresses and phone numbers
    hosts.py      internal host names and private addresses
    paths.py      file paths that match a glob
    patterns.py   what the configuration looks for, and why it cannot hang
    kinds.py      every kind with its group and the label it raises to
    scanner.py    all of them over one text
"""
