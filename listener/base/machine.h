/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VPCFLOWD_BASE_MACHINE_H
#define VPCFLOWD_BASE_MACHINE_H

/*
 * What is compiled several times is compiled for these, each of which can run what those before it
 * can. Who has such a file chooses among its functions by machine_here(), at run time.
 */
enum machine {
	MACHINE_ANY,
	MACHINE_AVX2,	/* and BMI2: x86-64 since 2013 to 2015 */
	MACHINE_AVX512, /* with VBMI2: Intel since 2019, AMD since 2022 */
};
enum { MACHINES = 3 };

/* The last of them that this machine is. */
enum machine machine_here(void);

#endif
