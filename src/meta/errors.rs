//! Meta's error table, as data: what each `(code, subcode)` means for us.
