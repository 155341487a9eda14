/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other function called twin; see quiet.c. */
int twin_caller(int x);

__attribute__((noipa, used)) static int twin(int x)
{
	return x * 7 + 2;
}

int twin_caller(int x)
{
	return twin(x);
}
