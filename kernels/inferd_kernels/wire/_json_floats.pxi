# Writing one double; included by _json.pyx.


cdef enum:
    UNCLEAR = 4
    # Digits of the longest shortest text of a double.
    DIGITS = 17

cdef struct Decimal:
    uint64_t digits
    int power


cdef inline uint64_t _round_to_odd(Power* ten, uint64_t factor) noexcept nogil:
    cdef uint64_t high, low, carried, ignored
    carried = multiply(ten.low, factor, &ignored)
    high = multiply(ten.high, factor, &low)
    low += carried
    high += low < carried
    return high | (low > 1)


cdef inline Decimal _shortest(uint64_t fraction, int exponent) noexcept nogil:
    """
    Return the shortest decimal of a positive double by its bits.

    The usual double is decided by one product, as yyjson's and zmij's authors found: with
    the power for which its last place is worth 1 to 10, the decimal is a multiple of ten
    if one is nearer than half that place, else the nearest whole number. All of it is known to
    within 4 * 2^-60; what is not clear at that, and the few doubles of another shape, take
    the long way.
    """
    cdef uint64_t high, low, carried, ignored, rest, half, digit, nearest, round
    cdef int binary, power, shift
    cdef bint down, up
    cdef Power* ten
    cdef Decimal decimal
    if expected(fraction == 0 or exponent == 0, False):
        return _schubfach(fraction, exponent)
    binary = exponent - 1075
    power = (binary * 1262611) >> 22
    shift = binary + ((-power * 1741647) >> 19) + 1
    ten = &write_powers[-power - LOWEST_POWER]
    fraction |= <uint64_t>1 << MANTISSA_BITS
    carried = multiply(ten.low, fraction << shift, &ignored)
    high = multiply(ten.high, fraction << shift, &low)
    low += carried
    high += low < carried
    digit = high % 10
    rest = (digit << 60) | (low >> 4)
    half = ten.high >> (5 - shift)
    if expected(
        rest - half + UNCLEAR <= 2 * UNCLEAR
        or (<uint64_t>10 << 60) - rest - half + UNCLEAR <= 2 * UNCLEAR
        or low - (<uint64_t>1 << 63) + UNCLEAR <= 2 * UNCLEAR,
        False,
    ):
        return _schubfach(fraction ^ (<uint64_t>1 << MANTISSA_BITS), exponent)
    # Without branches, which would go either way from one number to the next.
    down = rest < half
    up = (<uint64_t>10 << 60) - rest < half
    nearest = high + (low >> 63)
    round = high - digit + (10 & -<uint64_t>up)
    decimal.digits = nearest ^ ((nearest ^ round) & -<uint64_t>(down | up))
    decimal.power = power
    return decimal


cdef Decimal _schubfach(uint64_t fraction, int exponent) noexcept nogil:
    """Return the shortest decimal of any positive double by its bits."""
    cdef uint64_t mantissa, lower, middle, upper, quarter, tenth
    cdef int binary, power, shift
    cdef bint odd, narrow, down, up
    cdef Power* ten
    cdef Decimal decimal
    if exponent:
        mantissa, binary = fraction | (<uint64_t>1 << MANTISSA_BITS), exponent - 1075
    else:
        mantissa, binary = fraction, -1074
    odd = mantissa & 1
    # Below a power of two the next double is half as far away.
    narrow = fraction == 0 and exponent > 1
    power = (binary * 1262611 - (524031 if narrow else 0)) >> 22
    shift = binary + ((-power * 1741647) >> 19) + 1
    ten = &write_powers[-power - LOWEST_POWER]
    lower = _round_to_odd(ten, (4 * mantissa - 2 + narrow) << shift) + odd
    middle = _round_to_odd(ten, (4 * mantissa) << shift)
    upper = _round_to_odd(ten, (4 * mantissa + 2) << shift) - odd
    quarter = middle >> 2
    if quarter >= 10:
        tenth = quarter // 10
        down = lower <= 40 * tenth
        up = 40 * tenth + 40 <= upper
        if down != up:
            decimal.digits, decimal.power = tenth + up, power + 1
            return decimal
    down = lower <= 4 * quarter
    up = 4 * quarter + 4 <= upper
    if down == up:
        up = middle > 4 * quarter + 2 or (middle == 4 * quarter + 2 and quarter & 1)
    decimal.digits, decimal.power = quarter + up, power
    return decimal


cdef inline Decimal _decimal(double value) noexcept nogil:
    """Return the shortest decimal of a double's magnitude; without digits for what has none."""
    cdef uint64_t bits, fraction
    cdef int64_t whole
    cdef int exponent
    cdef double scaled
    cdef Decimal decimal
    memcpy(&bits, &value, 8)
    bits &= ~(<uint64_t>1 << 63)
    memcpy(&value, &bits, 8)
    scaled = value * 1e8
    if scaled < 1e15:
        # A decimal with at most 15 digits whose nearest double is this one is the shortest there
        # is, and here is the only one with up to eight of them behind the point.
        whole = <int64_t>scaled
        if <double>whole == scaled and whole and <double>whole / 1e8 == value:
            decimal.digits, decimal.power = whole, -8
            return decimal
    exponent = (bits >> MANTISSA_BITS) & EXPONENTS
    fraction = bits & ((<uint64_t>1 << MANTISSA_BITS) - 1)
    if expected(exponent == EXPONENTS or bits == 0, False):
        decimal.digits = decimal.power = 0
        return decimal
    return _shortest(fraction, exponent)


cdef inline char* _put_double(char* at, double value, Decimal decimal) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    if expected(decimal.digits == 0, False):
        return _put_special(at, value)
    at[0] = c"-"
    return _put_decimal(at + (bits >> 63), decimal)


cdef char* _put_special(char* at, double value) noexcept nogil:
    cdef uint64_t bits
    memcpy(&bits, &value, 8)
    if value != value:
        memcpy(at, b"NaN", 3)
        return at + 3
    at[0] = c"-"
    at += bits >> 63
    if value == 0:
        memcpy(at, b"0.0", 3)
        return at + 3
    memcpy(at, b"Infinity", 8)
    return at + 8


cdef inline char* _put_decimal(char* at, Decimal decimal) noexcept nogil:
    """Write digits * 10^power: plainly from 0.00001 to below 10^16, else with an exponent."""
    cdef char[48] plain
    cdef int length
    cdef uint64_t digits = decimal.digits, upper, first
    if expected(digits < whole_powers[15], False):
        length = DIGITS - _length(digits)
        digits *= whole_powers[length]
    else:
        length = digits < whole_powers[16]
        digits += 9 * digits & -<uint64_t>length
    cdef int exponent = decimal.power + DIGITS - 1 - length
    upper = digits // 100000000
    first = upper // 100000000
    if -5 <= exponent < 0:
        memcpy(at, b"0.000000", 8)
        at += 1 - exponent
        at[0] = <char>(c"0" + first)
        return at + 1 + put_16(at + 1, upper - first * 100000000, digits - upper * 100000000)
    if not 0 <= exponent < 16:
        at[0] = <char>(c"0" + first)
        at[1] = c"."
        length = put_16(at + 2, upper - first * 100000000, digits - upper * 100000000)
        return _put_exponent(at + (length + 2 if length else 1), exponent)
    plain[0] = <char>(c"0" + first)
    length = put_16(plain + 1, upper - first * 100000000, digits - upper * 100000000)
    memcpy(at, plain, 16)
    # The point goes behind the whole part.
    at += exponent + 1
    at[0] = c"."
    memcpy(at + 1, plain + exponent + 1, 16)
    return at + (length - exponent + 1 if length > exponent else 2)


cdef inline int _length(uint64_t value) noexcept nogil:
    """Return how many digits a number above 0 has."""
    cdef int length = ((64 - leading_zeros(value)) * 1233) >> 12
    return length + (value >= whole_powers[length])


cdef char* _put_exponent(char* at, int exponent) noexcept nogil:
    at[0] = c"e"
    at[1] = c"-" if exponent < 0 else c"+"
    at += 2
    exponent = -exponent if exponent < 0 else exponent
    if exponent >= 100:
        at[0] = <char>(c"0" + exponent // 100)
        at += 1
    if exponent >= 10:
        at[0] = <char>(c"0" + exponent // 10 % 10)
        at += 1
    at[0] = <char>(c"0" + exponent % 10)
    return at + 1
