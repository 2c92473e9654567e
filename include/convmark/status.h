/**
 * How functions that can fail say so: they return a cm_status and write one line of text into the
 * caller's cm_error: what failed, where (file and byte, line, or argument), and what to do. The
 * library never prints or exits.
 */
#ifndef CM_STATUS_H
#define CM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/** The values are the program's exit codes; a program that SIGTERM stopped ends with 143. */
typedef enum cm_status {
    CM_OK = 0,
    CM_FAILED = 1,       /* out of memory, disk full, a check that did not hold ... */
    CM_USAGE = 2,        /* wrong argument or option */
    CM_BAD_INPUT = 3,    /* a file that is missing, damaged or does not fit */
    CM_INTERRUPTED = 130 /* stopped by a signal */
} cm_status;

enum { CM_ERROR_SIZE = 1024 };

/** One line without a newline at its end; "" while nothing has failed. */
typedef struct cm_error {
    char message[CM_ERROR_SIZE];
} cm_error;

#if defined(__GNUC__)
#define CM_PRINTF(text, first) __attribute__((format(printf, text, first)))
/** The compiler warns where a caller does not look at the result. */
#define CM_MUST_CHECK __attribute__((warn_unused_result))
#else
#define CM_PRINTF(text, first)
#define CM_MUST_CHECK
#endif

/** Writes the message (cut at the buffer's end; control characters become '?', so that a file's
 * name or content cannot break the line) and returns `status`. `error` may be NULL. */
cm_status cm_fail(cm_error *error, cm_status status, const char *format, ...) CM_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#endif
