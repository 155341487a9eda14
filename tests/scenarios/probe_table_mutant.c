/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mistake for the probe to find: gates that look into the table but never find anybody,
 * as if all threads were switched at the commit. Linked with --wrap=ug_gate_encode.
 */
#include <string.h>

#include "lib/scenario.h"
#include "text/gate.h"

void __real_ug_gate_encode(const struct ug_gate *gate, bool rdfsbase, uint8_t buf[UG_GATE_SIZE]);
void __wrap_ug_gate_encode(const struct ug_gate *gate, bool rdfsbase, uint8_t buf[UG_GATE_SIZE]);

void __wrap_ug_gate_encode(const struct ug_gate *gate, bool rdfsbase, uint8_t buf[UG_GATE_SIZE])
{
	/* lea (%rcx,%rax),%rcx; jrcxz .Lfrom: the jump becomes a nop */
	static const uint8_t found[] = { 0x48, 0x8d, 0x0c, 0x01, 0xe3 };
	static const uint8_t nop[] = { 0x66, 0x90 };
	uint8_t *at;

	__real_ug_gate_encode(gate, rdfsbase, buf);
	at = memmem(buf, UG_GATE_LITERALS, found, sizeof(found));
	if (!at)
		scenario_die("the gate has changed: this mutant must follow");
	memcpy(at + 4, nop, sizeof(nop));
}
