/* SPDX-License-Identifier: MIT */
/*
 * What a replay has found, as text or JSON.
 */
#ifndef CLI_REPLAY_SUMMARY_H
#define CLI_REPLAY_SUMMARY_H

#include <jansson.h>

#include "replay/engine.h"

/* Did everything that was compared agree? */
bool summary_same(const struct replay *r);
void summary_print(const struct replay *r, const char *name, FILE *to);
json_t *summary_json(const struct replay *r, const char *name); /* NULL: no memory */

#endif
