/* Text from files on its way to a terminal, Markdown, CSV or a shell stays text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convmark/status.h"
#include "core/escape.h"

static const struct {
    const char *text, *terminal, *markdown, *csv, *shell;
} rows[] = {
    {"train/bn-3/n64", "train/bn-3/n64", "train/bn-3/n64", "train/bn-3/n64", "train/bn-3/n64"},
    {"images_per_second", "images_per_second", "images_per_second", "images_per_second",
     "images_per_second"},
    {"", "", "", "", "''"},
    {"\x1b[31m", "?[31m", "?\\[31m", "?[31m", "'?[31m'"},
    {"\x1b]0;a\a", "?]0;a?", "?\\]0;a?", "?]0;a?", "'?]0;a?'"},
    {"a\r\nb\tc\x7f", "a?\?b?c?", "a?\?b?c?", "\"a\r\nb\tc?\"", "'a?\?b?c?'"},
    {"\xc2\x9b"
     "1m",
     "?1m", "?1m", "?1m", "'?1m'"}, /* CSI of C1, in UTF-8 */
    {"\x9b"
     "1m\xff",
     "?1m?", "?1m?", "?1m?", "'?1m?'"}, /* bytes that are not UTF-8 */
    {"\xc3", "?", "?", "?", "'?'"},     /* the beginning of a character */
    {"\xc0\xaf\xed\xa0\x80", "?\?\?\?\?", "?\?\?\?\?", "?\?\?\?\?",
     "'?\?\?\?\?'"}, /* overlong, a surrogate */
    {"\xe2\x80\xae"
     "a",
     "?a", "?a", "?a", "'?a'"}, /* right to left */
    {"\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80", "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80",
     "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80", "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80",
     "'\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80'"},
    {"a|b", "a|b", "a\\|b", "a|b", "'a|b'"},
    {"<img src=x>", "<img src=x>", "\\<img src=x\\>", "<img src=x>", "'<img src=x>'"},
    {"[a](b) `c` *d* \\", "[a](b) `c` *d* \\", "\\[a\\](b) \\`c\\` \\*d\\* \\\\",
     "[a](b) `c` *d* \\", "'[a](b) `c` *d* \\'"},
    {"__a__ b_c", "__a__ b_c", "\\_\\_a\\_\\_ b_c", "__a__ b_c", "'__a__ b_c'"},
    {"&lt; #1 $x$ ~~y~~", "&lt; #1 $x$ ~~y~~", "\\&lt; \\#1 \\$x\\$ \\~\\~y\\~\\~",
     "&lt; #1 $x$ ~~y~~", "'&lt; #1 $x$ ~~y~~'"},
    {"=1+1", "=1+1", "\\=1+1", "\"'=1+1\"", "=1+1"},
    {"+1+1", "+1+1", "\\+1+1", "\"'+1+1\"", "+1+1"},
    {"-a", "-a", "\\-a", "\"'-a\"", "-a"},
    {"@SUM(1)", "@SUM(1)", "@SUM(1)", "\"'@SUM(1)\"", "'@SUM(1)'"},
    {"\t=1", "?=1", "?=1", "\"'\t=1\"", "'?=1'"},
    {"-1.5e-3", "-1.5e-3", "-1.5e-3", "-1.5e-3", "-1.5e-3"},
    {"-", "-", "-", "-", "-"},
    {"*", "*", "*", "*", "'*'"},
    {"a,\"b\"", "a,\"b\"", "a,\"b\"", "\"a,\"\"b\"\"\"", "'a,\"b\"'"},
    {"it's", "it's", "it's", "it's", "'it'\\''s'"},
};

static void assert_printed(cm_sink sink, const char *text, const char *expected) {
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    assert_non_null(out);
    cm_print_escaped(out, sink, text);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(printed, expected);
    free(printed);
}

static void test_each_sink(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        assert_printed(CM_SINK_TERMINAL, rows[i].text, rows[i].terminal);
        assert_printed(CM_SINK_MARKDOWN, rows[i].text, rows[i].markdown);
        assert_printed(CM_SINK_CSV, rows[i].text, rows[i].csv);
        assert_printed(CM_SINK_SHELL, rows[i].text, rows[i].shell);
        assert_string_equal(CM_SHOW(rows[i].text), rows[i].terminal);
        assert_string_equal(CM_SHOW_IN(true, rows[i].text), rows[i].markdown);
        char copy[64];
        strcpy(copy, rows[i].text);
        cm_escape_for_terminal(copy);
        assert_string_equal(copy, rows[i].terminal);
        cm_error error;
        assert_int_equal(cm_fail(&error, CM_FAILED, "%s", rows[i].text), CM_FAILED);
        assert_string_equal(error.message, rows[i].terminal);
    }
}

/* What does not fit ends with dots, and not within a character. */
static void test_long_text(void **state) {
    (void)state;
    char text[3 * CM_SHOWN_SIZE + 1];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa9", 3);
    }
    const cm_shown shown = cm_show(CM_SINK_MARKDOWN, text);
    const size_t length = strlen(shown.text);
    assert_true(length < CM_SHOWN_SIZE && length > CM_SHOWN_SIZE - 8);
    assert_string_equal(shown.text + length - 5, "\xc3\xa9...");
    memset(text, '|', sizeof text - 1);
    assert_true(strlen(cm_show(CM_SINK_MARKDOWN, text).text) < CM_SHOWN_SIZE);
    text[CM_SHOWN_SIZE - 4] = '\0';
    assert_string_equal(CM_SHOW(text), text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_sink),
                                       cmocka_unit_test(test_long_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
