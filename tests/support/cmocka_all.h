/* SPDX-License-Identifier: MIT */
/* cmocka.h wants these in front of it. */
#ifndef SAMARA_TEST_CMOCKA_ALL_H
#define SAMARA_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
