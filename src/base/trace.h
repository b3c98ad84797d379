/* SPDX-License-Identifier: MIT */
/*
 * Static trace points (USDT), provider "samara". TRACE(name, arguments...) is
 * one nop until perf or bpftrace attaches to it:
 *
 *     bpftrace -e 'usdt:./libsamara.so:samara:rcu_grace_period { @ = count(); }'
 *
 * Arguments are integers or pointers, at most twelve. Where <sys/sdt.h> is
 * missing, or with SAMARA_NO_TRACE, nothing is compiled and the arguments are
 * not evaluated.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#if !defined(SAMARA_NO_TRACE) && defined(__has_include)
#if __has_include(<sys/sdt.h>)
#ifndef SDT_USE_VARIADIC
#define SDT_USE_VARIADIC
#endif
#include <sys/sdt.h>
#define SAMARA_HAVE_SDT 1
#endif
#endif

#ifdef SAMARA_HAVE_SDT
#define TRACE(...) TRACE_(__VA_ARGS__)
#define TRACE_(name, ...) STAP_PROBEV(samara, name, ##__VA_ARGS__)
#else
static inline void trace_unused(const char *name, ...) { (void)name; }
#define TRACE(name, ...) ((void)sizeof((trace_unused(#name, ##__VA_ARGS__), 0)))
#endif

#endif
