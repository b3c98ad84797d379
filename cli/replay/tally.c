/* SPDX-License-Identifier: MIT */
/*
 * Names and counts, in the order of their first coming.
 */
#include <string.h>

#include "clean.h"
#include "replay/tally.h"

void tally_add(struct tally *t, const char *name, size_t len)
{
	char text[sizeof(t->row[0].name)];
	size_t i = 0;

	t->all++;
	clean_text(name, len, text, sizeof(text));
	while (i < t->nr && strcmp(t->row[i].name, text) != 0)
		i++;
	if (i == TALLY_NAMES) {
		t->others++;
		return;
	}
	if (i == t->nr)
		memcpy(t->row[t->nr++].name, text, sizeof(text));
	t->row[i].count++;
}

void tally_print(const struct tally *t, FILE *to)
{
	for (size_t i = 0; i < t->nr; i++)
		fprintf(to, "%s%s %lu", i ? ", " : "", t->row[i].name, t->row[i].count);
	if (t->others)
		fprintf(to, ", others %lu", t->others);
}

json_t *tally_json(const struct tally *t)
{
	json_t *all = json_object();

	for (size_t i = 0; i < t->nr; i++)
		json_object_set_new(all, t->row[i].name, json_integer((json_int_t)t->row[i].count));
	if (t->others)
		json_object_set_new(all, "others", json_integer((json_int_t)t->others));
	return all;
}
