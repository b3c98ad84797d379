/* SPDX-License-Identifier: MIT */
/*
 * Coverage: what was tried, by arguments, kind of mapping and outcome; what was not, and why.
 */
#ifndef CLI_CHECK_COVER_H
#define CLI_CHECK_COVER_H

#include "check/check.h"

enum map_kind {
	KIND_NOTHING,
	KIND_PRIVATE,
	KIND_NONE, /* private, and not accessible */
	KIND_SHARED,
	KIND_FILE_PRIVATE,
	KIND_FILE_SHARED,
	KIND_HEAP,
	KIND_STACK,
	KIND_DROPPABLE,
	KIND_LOCKED,
	KIND_SEALED,
	KIND_SEVERAL,
	KINDS
};
extern const char *const kind_names[KINDS];

#define MAX_OUTCOMES 32 /* different ones: 0 is success */
#define MAX_CLASSES 48  /* of one call */

/* Arguments that are of one sort: args[arg] & mask, tested. */
struct arg_class {
	const char *name;
	enum call_id call;
	enum {
		TEST_EQUAL,
		TEST_NOT_EQUAL,
		TEST_AT_LEAST,
		TEST_MORE, /* than the argument of number value */
		TEST_LESS,
		TEST_SAME
	} test;
	int arg;
	uint64_t mask, value;
};
extern const struct arg_class arg_classes[]; /* ends with a name of NULL; a call's stand together */
bool is_of_class(const struct arg_class *class, const struct wire_op *op);
/* The first of call's classes, and how many there are. */
const struct arg_class *classes_of(enum call_id call, int *n);

struct cover {
	unsigned long seen[CALLS][MAX_CLASSES][KINDS][MAX_OUTCOMES];
};

/* The errno that an index of seen stands for; 0 is success. */
int outcome_errno(int outcome);
const char *outcome_name(int outcome);
/* Whether a call of that sort is aimed at what is mapped. */
bool has_mapping(enum call_id call);
enum map_kind kind_at(struct samara_mm *mm, const struct wire_op *op);
void cover_count(struct cover *cover, const struct wire_op *op, long ret, enum map_kind kind);
void cover_add(struct cover *sum, const struct cover *part);
void cover_print(const struct cover *c, FILE *to);
json_t *cover_json(const struct cover *c);

/* What differs from Linux, or is not asked, and why. */
struct note {
	const char *call, *what;
	unsigned int kinds; /* bits; 0: not a matter of the mapping */
	bool deviates;
	const char *why;
};
extern const struct note notes[]; /* ends with a call of NULL */
const struct note *note_for(const struct arg_class *class, enum map_kind kind);

/*
 * docs/compatibility.md: its section of userfaultfds, or all but that; the rest stays as it is in
 * path. The number of cells that nothing explains, or -errno.
 */
int compat_write(const char *path, const struct cover *c, const char *command, bool uffd);

#endif
