/* SPDX-License-Identifier: MIT */
/*
 * Reading the arguments of the calls that matter.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "replay/call.h"

#define CLONE_VM 0x100UL
#define CLONE_THREAD 0x10000UL

/* One letter an argument, in order, as read_args() understands it. */
struct form {
	const char *name;
	enum call_kind kind;
	const char *args;
};

static const struct form forms[] = {
	{ "mmap", CALL_MMAP, "alpfdo" },
	{ "mmap2", CALL_MMAP, "alpfdo" },
	{ "munmap", CALL_MUNMAP, "al" },
	{ "mprotect", CALL_MPROTECT, "alp" },
	{ "pkey_mprotect", CALL_MPROTECT, "alp" },
	{ "mremap", CALL_MREMAP, "alnf" },
	{ "brk", CALL_BRK, "a" },
	{ "madvise", CALL_MADVISE, "alv" },
	{ "mlock", CALL_MLOCK, "al" },
	{ "mlock2", CALL_MLOCK2, "alf" },
	{ "munlock", CALL_MUNLOCK, "al" },
	{ "mlockall", CALL_MLOCKALL, "f" },
	{ "munlockall", CALL_MUNLOCKALL, "" },
	{ "mseal", CALL_MSEAL, "alf" },
	{ "syscall_0x1ce", CALL_MSEAL, "alf" }, /* an strace older than the call */
	{ "remap_file_pages", CALL_REMAP_FILE_PAGES, "alpof" },
	{ "shmget", CALL_SHMGET, "ilf" },
	{ "shmat", CALL_SHMAT, "iaf" },
	{ "shmdt", CALL_SHMDT, "a" },
	{ "setrlimit", CALL_RLIMIT, "" },
	{ "prlimit64", CALL_RLIMIT, "" },
	{ "prctl", CALL_PRCTL, "" },
	{ "clone", CALL_CLONE, "" },
	{ "clone3", CALL_CLONE, "" },
	{ "fork", CALL_CLONE, "" },
	{ "vfork", CALL_CLONE, "" },
	{ "execve", CALL_EXEC, "" },
	{ "execveat", CALL_EXEC, "" },
	{ "exit", CALL_EXIT, "" },
	{ "exit_group", CALL_EXIT, "" },
};

static int bad_arg(const struct trace_event *ev, unsigned int i, char why[120])
{
	if (i >= ev->nr_args)
		snprintf(why, 120, "%.*s has %u arguments, argument %u is missing",
			 (int)ev->call.len, ev->call.at, ev->nr_args, i + 1);
	else
		snprintf(why, 120, "%.*s: cannot read argument %u `%.*s`", (int)ev->call.len,
			 ev->call.at, i + 1, ev->args[i].len > 40 ? 40 : (int)ev->args[i].len,
			 ev->args[i].at);
	return -EINVAL;
}

/* The value of one argument, where form's letter wants it. */
static void put_arg(struct call *out, char letter, unsigned long value)
{
	switch (letter) {
	case 'a':
		out->addr = value;
		break;
	case 'l':
		out->len = value;
		break;
	case 'p':
		out->prot = (int)value;
		break;
	case 'f':
		out->flags = value;
		break;
	case 'o':
		out->offset = value;
		break;
	case 'n':
		out->new_len = value;
		break;
	case 'v':
		out->advice = (int)value;
		break;
	default:
		out->id = (int)value;
	}
}

/* shmget's flags have the mode, shmget's key is a name: IPC_CREAT|0600, 0x1234. */
static int read_args(const struct trace_event *ev, const char *form, struct call *out,
		     char why[120])
{
	for (unsigned int i = 0; form[i]; i++) {
		unsigned long value = 0;
		int err;

		if (i >= ev->nr_args) {
			if (out->partial)
				return 0;
			return bad_arg(ev, i, why);
		}
		if (form[i] == 'd')
			err = trace_fd(ev->args[i], &out->file);
		else
			err = trace_number(ev->args[i], &value);
		if (err)
			return bad_arg(ev, i, why);
		if (form[i] != 'd')
			put_arg(out, form[i], value);
	}
	/* mremap's last argument is there only when its flags ask for it. */
	if (out->kind == CALL_MREMAP && ev->nr_args > 4 &&
	    trace_number(ev->args[4], &out->new_addr))
		return bad_arg(ev, 4, why);
	return 0;
}

static bool has_word(struct slice s, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= s.len; i++) {
		bool ends = i + len == s.len || strchr("|, })", s.at[i + len]);
		bool begins = i == 0 || strchr("|=, {", s.at[i - 1]);

		if (begins && ends && memcmp(s.at + i, word, len) == 0)
			return true;
	}
	return false;
}

/* clone(child_stack=NULL, flags=CLONE_VM|SIGCHLD, ..), clone3({flags=..}, 88) */
static void read_clone(const struct trace_event *ev, struct call *out)
{
	if (slice_is(ev->call, "vfork"))
		out->flags = CLONE_VM;
	for (unsigned int i = 0; i < ev->nr_args; i++) {
		struct slice flags;
		unsigned long value;

		if (trace_field(ev->args[i], "flags", &flags))
			continue;
		if (trace_number(flags, &value) == 0)
			out->flags = value & (CLONE_VM | CLONE_THREAD);
		if (has_word(flags, "CLONE_VM"))
			out->flags |= CLONE_VM;
		if (has_word(flags, "CLONE_THREAD"))
			out->flags |= CLONE_THREAD;
		break;
	}
}

/* setrlimit(RES, {rlim_cur=.., rlim_max=..}), prlimit64(PID, RES, {..} or NULL, ..) */
static int read_rlimit(const struct trace_event *ev, struct call *out, char why[120])
{
	unsigned int at = slice_is(ev->call, "prlimit64") ? 1 : 0;
	struct slice cur, max;
	unsigned long value;

	if (ev->nr_args < at + 2)
		return out->partial ? 0 : bad_arg(ev, ev->nr_args, why);
	if (at && trace_number(ev->args[0], &value))
		return bad_arg(ev, 0, why);
	out->id = at ? (int)value : 0;
	if (trace_number(ev->args[at], &value) || slice_is(ev->args[at + 1], "NULL") ||
	    ev->args[at + 1].at[0] != '{') {
		out->kind = CALL_OTHER; /* a limit of another kind, or only asked for */
		return 0;
	}
	out->resource = (int)value;
	if (trace_field(ev->args[at + 1], "rlim_cur", &cur) ||
	    trace_field(ev->args[at + 1], "rlim_max", &max) || trace_number(cur, &out->cur) ||
	    trace_number(max, &out->max))
		return bad_arg(ev, at + 1, why);
	return 0;
}

/* PR_SET_VMA names mappings and PR_SET_MM moves the heap's ends. */
static void read_prctl(const struct trace_event *ev, struct call *out)
{
	if (!ev->nr_args ||
	    !(slice_is(ev->args[0], "PR_SET_VMA") || slice_is(ev->args[0], "PR_SET_MM")))
		out->kind = CALL_OTHER;
}

int call_decode(const struct trace_event *ev, struct call *out, char why[120])
{
	const struct form *form = NULL;

	for (size_t i = 0; !form && i < sizeof(forms) / sizeof(forms[0]); i++)
		if (slice_is(ev->call, forms[i].name))
			form = &forms[i];
	out->kind = form ? form->kind : CALL_OTHER;
	if (!form)
		return 0;
	out->addr = out->len = out->flags = out->offset = out->new_len = out->new_addr = 0;
	out->cur = out->max = 0;
	out->prot = out->advice = out->id = out->resource = 0;
	out->file.fd = -1;
	out->file.path[0] = '\0';
	out->file.deleted = false;
	out->partial = ev->kind == TRACE_ENTRY;
	switch (out->kind) {
	case CALL_CLONE:
		read_clone(ev, out);
		return 0;
	case CALL_RLIMIT:
		return read_rlimit(ev, out, why);
	case CALL_PRCTL:
		read_prctl(ev, out);
		return 0;
	default:
		return read_args(ev, form->args, out, why);
	}
}

bool call_chooses(const struct call *c)
{
	if (c->kind == CALL_MMAP)
		return !(c->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE));
	return c->kind == CALL_MREMAP && (c->flags & MREMAP_MAYMOVE) && c->new_len > c->len &&
	       c->len != 0 && !(c->flags & ~(unsigned long)MREMAP_MAYMOVE);
}
