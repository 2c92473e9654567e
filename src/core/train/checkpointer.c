#include "core/train/checkpointer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/files/atomic_file.h"

static const char PREVIOUS[] = ".previous", LOCK[] = ".lock";

/* A file that is read may be of a larger network, to say so: but no larger than that. */
enum { LEAST_LIMIT = 64 << 20 };

static cm_status checkpointer_no_memory(const char *path, cm_error *error) {
    return cm_fail(error, CM_FAILED, "%s: out of memory for checkpoints; close other programs",
                   path);
}

/* free() it; NULL: no memory. */
static char *with_suffix(const char *path, const char *suffix) {
    const size_t size = strlen(path) + strlen(suffix) + 1;
    char *text = malloc(size);
    if (text != NULL) {
        snprintf(text, size, "%s%s", path, suffix);
    }
    return text;
}

static bool exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

/* The newest and the previous one are renamed, so a link would end somewhere else than it pointed.
 */
static cm_status check_path(const cm_checkpointer *to, cm_error *error) {
    struct stat info;
    if (lstat(to->path, &info) == 0 && S_ISLNK(info.st_mode)) {
        return cm_fail(error, CM_FAILED, "%s: is a link; give the path of the checkpoint itself",
                       to->path);
    }
    bool same = false;
    const cm_status status = to->options->resume == NULL
                                 ? CM_OK
                                 : cm_path_compare(to->options->resume, to->path, &same, error);
    if (status != CM_OK) {
        return status;
    }
    if (!same && (exists(to->path) || exists(to->previous))) {
        return cm_fail(error, CM_USAGE,
                       "%s: there is a checkpoint already%s; resume from it, or remove it",
                       to->path, exists(to->path) ? "" : " (.previous)");
    }
    return CM_OK;
}

static cm_status lock(cm_checkpointer *to, cm_error *error) {
    char *path = with_suffix(to->path, LOCK);
    const cm_status status = path == NULL ? checkpointer_no_memory(to->path, error)
                                          : cm_lock_file_take(path, to->path, &to->lock, error);
    if (status == CM_OK && to->lock.unsupported && to->options->notice != NULL) {
        cm_error line;
        cm_fail(&line, CM_OK,
                "%s: the file system has no locks; let no other run write this checkpoint", path);
        to->options->notice(line.message, to->options->notice_context);
    }
    free(path);
    return status;
}

/* Why a file is no checkpoint to resume from. Only one that is missing or damaged has the previous
 * one in its place: else something older would take the place of something newer. */
typedef enum load_fault {
    LOAD_FAULT_NONE,
    LOAD_FAULT_MISSING,    /* a run was killed between the two renames */
    LOAD_FAULT_UNREADABLE, /* it cannot be read now */
    LOAD_FAULT_OTHER,      /* of another version of the program, or of another run */
    LOAD_FAULT_DAMAGED
} load_fault;

/* Tells the status of a failed load from its fault. */
static cm_status load(const cm_checkpointer *to, const char *path, load_fault *fault,
                      cm_error *error) {
    const size_t limit = cm_checkpoint_limit(&to->run);
    char *bytes = NULL;
    size_t size = 0;
    cm_status status =
        cm_file_read(path, limit > LEAST_LIMIT ? limit : LEAST_LIMIT, &bytes, &size, error);
    if (status != CM_OK) {
        *fault = exists(path) ? LOAD_FAULT_UNREADABLE : LOAD_FAULT_MISSING;
        return status;
    }
    status = cm_checkpoint_decode(&to->run, (const uint8_t *)bytes, size, path, error);
    if (status == CM_OK) {
        *fault = LOAD_FAULT_NONE;
    } else if (status != CM_BAD_INPUT ||
               cm_checkpoint_is_of_another_version((const uint8_t *)bytes, size)) {
        *fault = LOAD_FAULT_OTHER;
    } else {
        *fault = LOAD_FAULT_DAMAGED;
    }
    free(bytes);
    return status;
}

/* The newest one, or where that is damaged or missing the previous one. */
static cm_status resume(cm_checkpointer *to, cm_error *error) {
    const char *path = to->options->resume;
    cm_error newest = {""}, before = {""};
    load_fault fault, second_fault;
    const cm_status status = load(to, path, &fault, &newest);
    if (fault != LOAD_FAULT_MISSING && fault != LOAD_FAULT_DAMAGED) {
        return cm_fail(error, status, "%s", newest.message);
    }
    char *previous = with_suffix(path, PREVIOUS);
    if (previous == NULL) {
        return checkpointer_no_memory(path, error);
    }
    cm_status second = status;
    if (!exists(previous)) {
        cm_fail(error, status, "%s", newest.message);
    } else if ((second = load(to, previous, &second_fault, &before)) == CM_BAD_INPUT) {
        cm_fail(error, second, "%.480s; and %.480s", newest.message, before.message);
    } else {
        cm_fail(error, second, "%s", before.message);
    }
    if (second == CM_OK && to->options->notice != NULL) {
        cm_error line;
        cm_fail(&line, CM_OK, "%.480s; resuming from %.480s", newest.message, previous);
        to->options->notice(line.message, to->options->notice_context);
    }
    free(previous);
    to->damaged = second == CM_OK;
    return second;
}

cm_status cm_checkpointer_open(cm_checkpointer *to, const cm_checkpoint_options *options,
                               const cm_checkpoint *run, const cm_train_options *train,
                               const cm_dataset *dataset, cm_error *error) {
    *to = (cm_checkpointer){.options = options, .run = *run, .identity.options = train};
    to->path = options->path != NULL ? options->path : options->resume;
    if (to->path == NULL || options->every < 1) {
        return cm_fail(error, CM_USAGE,
                       "checkpoints need a path, and a number of steps of at least 1 between them");
    }
    to->run.identity = &to->identity;
    to->previous = with_suffix(to->path, PREVIOUS);
    cm_status status =
        to->previous == NULL ? checkpointer_no_memory(to->path, error) : lock(to, error);
    if (status == CM_OK) {
        status = check_path(to, error);
    }
    if (status == CM_OK) {
        status =
            cm_network_to_text(cm_model_network(run->model), &to->identity.network_text, error);
    }
    if (status != CM_OK) {
        return status;
    }
    cm_dataset_sha256(dataset, to->identity.data_sha256);
    cm_model_sha256(run->model, to->identity.initial_sha256);
    to->run.scratch = malloc(cm_checkpoint_scratch(run->model));
    to->bytes = malloc(cm_checkpoint_limit(&to->run));
    if (to->run.scratch == NULL || to->bytes == NULL) {
        return checkpointer_no_memory(to->path, error);
    }
    return options->resume != NULL ? resume(to, error) : CM_OK;
}

cm_status cm_checkpointer_write(cm_checkpointer *to, cm_error *error) {
    const char *bad = cm_model_tensor_not_finite(to->run.model);
    if (bad != NULL) {
        return cm_fail(error, CM_FAILED,
                       "tensor %s is not finite after step %d; use a smaller learning rate; "
                       "the last checkpoint is kept",
                       bad, to->run.result->step_count);
    }
    const size_t size = cm_checkpoint_encode(&to->run, to->bytes);
    const cm_status status =
        cm_file_write_keeping(to->path, to->damaged ? NULL : to->previous, to->bytes, size, error);
    to->damaged = to->damaged && status != CM_OK;
    return status;
}

void cm_checkpointer_close(cm_checkpointer *to) {
    cm_lock_file_release(&to->lock);
    free(to->previous);
    free(to->identity.network_text);
    free(to->run.scratch);
    free(to->bytes);
    *to = (cm_checkpointer){0};
}
