/* How many bytes a character takes in a file, and how many cells on a terminal. */
#include "support/diag.h"

static int sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xC2 && lead < 0xE0)
        return 2;
    if (lead >= 0xE0 && lead < 0xF0)
        return 3;
    return lead >= 0xF0 && lead < 0xF5 ? 4 : 0;
}

/* The code point at s, or -1 when the bytes are not UTF-8. */
static int decode(const char *s, int length)
{
    static const int lead_mask[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    static const int least[] = {0, 0, 0x80, 0x800, 0x10000};
    int code = (unsigned char)s[0] & lead_mask[length];
    for (int i = 1; i < length; i++) {
        if (((unsigned char)s[i] & 0xC0) != 0x80)
            return -1;
        code = code << 6 | ((unsigned char)s[i] & 0x3F);
    }
    bool surrogate = code >= 0xD800 && code < 0xE000;
    return code < least[length] || code > 0x10FFFF || surrogate ? -1 : code;
}

typedef struct Range {
    int first, last;
} Range;

static const Range wide[] = {
    {0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},   {0xAC00, 0xD7A3},
    {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},
    {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD},
};

static const Range empty[] = {
    {0x0300, 0x036F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F},
};

/* Bidirectional controls could make a line read otherwise than it is. */
static const Range hidden[] = {{0x80, 0x9F}, {0x202A, 0x202E}, {0x2066, 0x2069}};

static bool within(const Range *table, size_t count, int code)
{
    for (size_t i = 0; i < count; i++)
        if (code >= table[i].first && code <= table[i].last)
            return true;
    return false;
}

#define WITHIN(table, code) within(table, sizeof table / sizeof *table, code)

Glyph glyph_at(const char *s, int left)
{
    unsigned char lead = (unsigned char)s[0];
    if (lead < 0x80)
        return (Glyph){1, 1, lead >= 0x20 && lead != 0x7F};
    int length = sequence_length(lead);
    int code = length && length <= left ? decode(s, length) : -1;
    if (code < 0)
        return (Glyph){1, 1, false};
    if (WITHIN(hidden, code))
        return (Glyph){length, 1, false};
    return (Glyph){length, WITHIN(empty, code) ? 0 : WITHIN(wide, code) ? 2 : 1, true};
}
