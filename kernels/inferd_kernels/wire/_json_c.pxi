# What the JSON kernel calls of C++ and the compiler; included by _json.pyx.

cdef enum:
    # What the elements of an array are; the numbers are part of the module's interface.
    BOOL = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FP32 = 9
    FP64 = 10

cdef extern from "Python.h":
    PyObject* new_bytes "PyBytes_FromStringAndSize" (const char* content, Py_ssize_t size) except NULL
    char* content_of "PyBytes_AS_STRING" (PyObject* text) noexcept nogil
    int resize_bytes "_PyBytes_Resize" (PyObject** text, Py_ssize_t size) except -1
    void set_size "Py_SET_SIZE" (PyObject* text, Py_ssize_t size)
    void Py_XDECREF(PyObject* owned)

cdef extern from *:
    """
    #include <charconv>
    #include <cstdint>
    #include <cstring>

    #if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || !defined(__SIZEOF_INT128__)
    #error "for 64-bit processors that store the lowest byte first"
    #endif

    // The end of the number that was read, or NULL when it is none or no double can hold it.
    static inline const char* inferd_to_double(const char* first, const char* last, double* value) {
        auto read = std::from_chars(first, last, *value);
        return read.ec == std::errc() ? read.ptr : nullptr;
    }
    static inline const char* inferd_to_unsigned(
        const char* first, const char* last, uint64_t* value) {
        auto read = std::from_chars(first, last, *value);
        return read.ec == std::errc() ? read.ptr : nullptr;
    }
    // The upper half of a product; the lower half goes where `low` points.
    static inline uint64_t inferd_multiply(uint64_t a, uint64_t b, uint64_t* low) {
        unsigned __int128 product = (unsigned __int128)a * b;
        *low = (uint64_t)product;
        return (uint64_t)(product >> 64);
    }
    static inline float inferd_to_float(double value) { return static_cast<float>(value); }

    // Reads up to 16 digits and returns how many there are. 16 bytes on both sides of `at` may be
    // read: the digits are loaded again from their end, so that there is no branch on their number,
    // which changes from one number to the next.
    #if defined(__SSE2__) && !defined(INFERD_NO_SIMD)
    #include <emmintrin.h>
    static const unsigned char inferd_ones[32] = {
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    static inline int inferd_sixteen_digits(const char* at, uint64_t* value) {
        const __m128i zero = _mm_set1_epi8('0');
        __m128i digits = _mm_sub_epi8(_mm_loadu_si128((const __m128i*)at), zero);
        unsigned found = _mm_movemask_epi8(
            _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits));
        int count = __builtin_ctz(~found | 0x10000);
        digits = _mm_sub_epi8(_mm_loadu_si128((const __m128i*)(at + count - 16)), zero);
        digits = _mm_andnot_si128(_mm_loadu_si128((const __m128i*)(inferd_ones + count)), digits);
        __m128i twos = _mm_add_epi16(
            _mm_mullo_epi16(_mm_and_si128(digits, _mm_set1_epi16(255)), _mm_set1_epi16(10)),
            _mm_srli_epi16(digits, 8));
        __m128i fours = _mm_madd_epi16(twos, _mm_set1_epi32(100 | 1 << 16));
        fours = _mm_packs_epi32(fours, fours);
        fours = _mm_madd_epi16(fours, _mm_set1_epi32(10000 | 1 << 16));
        uint64_t eights = 0;
        _mm_storel_epi64((__m128i*)&eights, fours);
        *value = (eights & 0xFFFFFFFF) * 100000000 + (eights >> 32);
        return count;
    }
    #else
    static inline int inferd_sixteen_digits(const char* at, uint64_t* value) {
        int count = 0;
        *value = 0;
        for (; count < 16 && (unsigned char)(at[count] - '0') < 10; count++)
            *value = *value * 10 + (unsigned char)(at[count] - '0');
        return count;
    }
    #endif

    // Writes 16 digits, the first eight and the last eight, each below 10^8, and returns how many
    // there are without trailing zeros: each step splits every number into its upper and lower half.
    #if defined(__SSE2__) && !defined(INFERD_NO_SIMD)
    static inline int inferd_put_16(char* at, uint64_t first, uint64_t last) {
        __m128i eights = _mm_set_epi64x((long long)last, (long long)first);
        __m128i fours = _mm_srli_epi64(_mm_mul_epu32(eights, _mm_set1_epi64x(109951163)), 40);
        __m128i below = _mm_sub_epi64(eights, _mm_mul_epu32(fours, _mm_set1_epi64x(10000)));
        fours = _mm_or_si128(fours, _mm_slli_epi64(below, 32));
        __m128i twos = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi32(5243)), 3);
        below = _mm_sub_epi32(fours, _mm_mullo_epi16(twos, _mm_set1_epi32(100)));
        twos = _mm_or_si128(twos, _mm_slli_epi32(below, 16));
        __m128i ones = _mm_mulhi_epu16(twos, _mm_set1_epi16(6554));
        below = _mm_sub_epi16(twos, _mm_mullo_epi16(ones, _mm_set1_epi16(10)));
        ones = _mm_or_si128(ones, _mm_slli_epi16(below, 8));
        int zeros = _mm_movemask_epi8(_mm_cmpeq_epi8(ones, _mm_setzero_si128()));
        _mm_storeu_si128((__m128i*)at, _mm_or_si128(ones, _mm_set1_epi8('0')));
        return 32 - __builtin_clz(((unsigned)~zeros & 0xFFFF) << 1 | 1) - 1;
    }
    #else
    static inline uint64_t inferd_eight_digits(uint64_t value) {
        value = value / 10000 | value % 10000 << 32;
        uint64_t hundreds = (value * 10486 >> 20) & 0x0000007F0000007F;
        value = hundreds | (value - hundreds * 100) << 16;
        uint64_t tens = (value * 103 >> 10) & 0x000F000F000F000F;
        return tens | (value - tens * 10) << 8;
    }
    static inline int inferd_put_16(char* at, uint64_t first, uint64_t last) {
        first = inferd_eight_digits(first);
        last = inferd_eight_digits(last);
        int count = last ? 16 - (__builtin_clzll(last) >> 3)
            : first ? 8 - (__builtin_clzll(first) >> 3) : 0;
        first |= 0x3030303030303030;
        last |= 0x3030303030303030;
        std::memcpy(at, &first, 8);
        std::memcpy(at + 8, &last, 8);
        return count;
    }
    #endif
    """
    int sixteen_digits "inferd_sixteen_digits" (const char* at, uint64_t* value) noexcept nogil
    int put_16 "inferd_put_16" (char* at, uint64_t first, uint64_t last) noexcept nogil
    const char* to_double "inferd_to_double" (
        const char* first, const char* last, double* value) noexcept nogil
    const char* to_unsigned "inferd_to_unsigned" (
        const char* first, const char* last, uint64_t* value) noexcept nogil
    uint64_t multiply "inferd_multiply" (uint64_t a, uint64_t b, uint64_t* low) noexcept nogil
    float to_float "inferd_to_float" (double value) noexcept nogil
    int leading_zeros "__builtin_clzll" (uint64_t value) noexcept nogil
    bint expected "__builtin_expect" (bint value, bint usual) noexcept nogil


cdef inline bint is_digit(char letter) noexcept nogil:
    return <uint8_t>(letter - c"0") < 10
