# Reading one number; included by _json.pyx.

cdef enum:
    MANTISSA_BITS = 52
    LEAST_EXPONENT = -1023
    EXPONENTS = 0x7FF
    MOST_DIGITS = 19
    # 10^n is a double up to this n.
    EXACT_POWER = 22

cdef double[23] exact_powers = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]

cdef struct Number:
    uint64_t digits
    int64_t exponent
    const char* start
    bint negative
    bint integer
    # More digits than `digits` holds.
    bint long


cdef inline const char* _digits(
    const char* at, const char* begin, const char* end, uint64_t* value
) noexcept nogil:
    """Read digits into the end of a value, which overflows when there are too many."""
    cdef uint64_t some
    cdef int count
    while end - at >= 16 and at - begin >= 16:
        count = sixteen_digits(at, &some)
        value[0] = value[0] * whole_powers[count] + some
        if count < 16:
            return at + count
        # Not by `count`: what is foreseen need not be waited for.
        at += 16
    while is_digit(at[0]):
        value[0] = value[0] * 10 + <uint64_t>(at[0] - c"0")
        at += 1
    return at


cdef inline const char* _number(
    const char* at, const char* begin, const char* end, Number* number
) noexcept nogil:
    """
    Read a number by JSON's grammar; NULL when it is none.

    What begins at `begin` and ends at `end` has to end with something that belongs to no number.
    """
    cdef const char* first
    cdef const char* point
    cdef Py_ssize_t count
    cdef int64_t exponent
    number.start = at
    number.negative = at[0] == c"-"
    at += number.negative
    first = at
    number.digits = 0
    number.exponent = 0
    count = 0
    if at[0] == c"0":
        at += 1
    else:
        if is_digit(at[0]) and at[1] == c".":
            number.digits = <uint64_t>(at[0] - c"0")
            at += 1
        else:
            at = _digits(at, begin, end, &number.digits)
        if at == first:
            return NULL
        count = at - first
    number.integer = True
    if at[0] == c".":
        number.integer = False
        point = at + 1
        at = _digits(point, begin, end, &number.digits)
        if at == point:
            return NULL
        number.exponent = point - at
        count += at - point
    number.long = count > MOST_DIGITS and _significant(first, at) > MOST_DIGITS
    if at[0] == c"e" or at[0] == c"E":
        number.integer = False
        at = _exponent(at + 1, &exponent)
        number.exponent += exponent
    return at


cdef Py_ssize_t _significant(const char* at, const char* end) noexcept nogil:
    """Return how many digits there are behind the leading zeros."""
    cdef Py_ssize_t count = 0
    while at < end:
        if at[0] != c"." and (count or at[0] != c"0"):
            count += 1
        at += 1
    return count


cdef const char* _exponent(const char* at, int64_t* value) noexcept nogil:
    cdef const char* first
    cdef int64_t exponent = 0
    cdef bint negative = at[0] == c"-"
    if negative or at[0] == c"+":
        at += 1
    first = at
    while is_digit(at[0]):
        if exponent < 1000000:
            exponent = exponent * 10 + (at[0] - c"0")
        at += 1
    value[0] = -exponent if negative else exponent
    if at == first:
        return NULL
    return at


cdef inline bint _to_double(Number* number, const char* stop, uint64_t* bits) noexcept nogil:
    """Find the bits of the double nearest to a number; false when it is infinite."""
    cdef double value
    if expected(number.long, False):
        return _by_library(number.start, stop, bits)
    if number.digits == 0:
        # An integer has no negative zero.
        bits[0] = <uint64_t>(number.negative and not number.integer) << 63
        return True
    if number.exponent == 0:
        value = <double>number.digits
        memcpy(bits, &value, 8)
    elif number.digits < <uint64_t>1 << 49 and -EXACT_POWER <= number.exponent < 0:
        # Both are exact, and so the quotient is rounded once. More digits than 14 are left
        # out, because some of 16 digits would fit and some would not.
        value = <double><int64_t>number.digits / exact_powers[-number.exponent]
        memcpy(bits, &value, 8)
    elif not _eisel_lemire(number.digits, number.exponent, bits):
        return _by_library(number.start, stop, bits)
    bits[0] |= <uint64_t>number.negative << 63
    return True


cdef bint _by_library(const char* start, const char* stop, uint64_t* bits) noexcept nogil:
    """Read a number as C++ does; false as well when it is nearer to 0 than to any other."""
    cdef double value
    if to_double(start, stop, &value) != stop:
        return False
    memcpy(bits, &value, 8)
    return True


cdef inline bint _eisel_lemire(uint64_t digits, int64_t power, uint64_t* bits) noexcept nogil:
    """Find the bits of the double nearest to digits * 10^power; false when it is not a normal one."""
    cdef uint64_t high, low, more, ignored, mantissa
    cdef int shift, zeros
    cdef int64_t exponent
    cdef Power* ten
    if expected(power < LOWEST_POWER or power > 308, False):
        return False
    zeros = leading_zeros(digits)
    digits <<= zeros
    ten = &read_powers[power - LOWEST_POWER]
    high = multiply(digits, ten.high, &low)
    if expected((high & 0x1FF) == 0x1FF, False):
        more = multiply(digits, ten.low, &ignored)
        low += more
        high += low < more
    shift = <int>(high >> 63)
    mantissa = high >> (shift + 9)
    exponent = ((217706 * power) >> 16) + 63 + shift - zeros - LEAST_EXPONENT
    if expected(
        low <= 1 and -4 <= power <= 23 and (mantissa & 3) == 1 and mantissa << (shift + 9) == high,
        False,
    ):
        # Exactly in the middle: to the even one.
        mantissa &= ~<uint64_t>1
    mantissa = (mantissa + (mantissa & 1)) >> 1
    # One more bit, when rounding made it: the exponent's lowest, and the fraction is 0.
    bits[0] = (<uint64_t>(exponent - 1) << MANTISSA_BITS) + mantissa
    return 0 < exponent < EXPONENTS - 1
