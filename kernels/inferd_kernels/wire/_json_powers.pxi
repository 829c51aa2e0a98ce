# Powers of ten with 128 significant bits; included by _json.pyx.

cdef enum:
    LOWEST_POWER = -342
    HIGHEST_POWER = 324
    POWERS = 667

cdef struct Power:
    uint64_t high
    uint64_t low

# Rounded as each method was proved with: for reading down, and up for 10^-27 to 10^-1; for
# writing up.
cdef Power[POWERS] read_powers
cdef Power[POWERS] write_powers
cdef uint64_t[20] whole_powers


cdef _compute_powers():
    cdef int power
    # As objects: C has no integers of that size.
    cdef object five, ten = 10
    for power in range(LOWEST_POWER, HIGHEST_POWER + 1):
        five = (ten // 2) ** abs(power)
        shift = 128 - five.bit_length()
        if power < 0:
            down, exact = (1 << (five.bit_length() + 127)) // five, False
        else:
            down, exact = (five << shift, True) if shift >= 0 else (five >> -shift, False)
        up = down if exact else down + 1
        for_reading = up if -27 <= power < 0 else down
        read_powers[power - LOWEST_POWER].high = for_reading >> 64
        read_powers[power - LOWEST_POWER].low = for_reading & 0xFFFFFFFFFFFFFFFF
        write_powers[power - LOWEST_POWER].high = up >> 64
        write_powers[power - LOWEST_POWER].low = up & 0xFFFFFFFFFFFFFFFF
    for power in range(20):
        whole_powers[power] = ten ** power


_compute_powers()
