/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaf functions whose entries a compiler chose: displaced and run by test_text. */
long leaf_g = 5;
static const long leaf_table[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
long leaf_add(long a, long b, long c);
long leaf_global(long a, long b, long c);
long leaf_store(long a, long b, long c);
long leaf_table_get(long a, long b, long c);
long leaf_branch(long a, long b, long c);
long leaf_loop(long a, long b, long c);
long leaf_cmp(long a, long b, long c);
long leaf_div(long a, long b, long c);
long leaf_double(long a, long b, long c);
long leaf_short(long a, long b, long c);
long leaf_address(long a, long b, long c);
long leaf_const(long a, long b, long c);

long leaf_add(long a, long b, long c)
{
	return a + 2 * b - c;
}

long leaf_global(long a, long b, long c)
{
	return leaf_g * a + b;
}

long leaf_store(long a, long b, long c)
{
	leaf_g = 5 + (a & 1);
	return b - leaf_g;
}

long leaf_table_get(long a, long b, long c)
{
	return leaf_table[(unsigned long)a % 8] + c;
}

long leaf_branch(long a, long b, long c)
{
	return a > b ? b * c : a - c;
}

long leaf_loop(long a, long b, long c)
{
	long sum = 0;

	for (long i = 0; i < (a & 15); i++)
		sum = sum * 3 + b;
	return sum;
}

long leaf_cmp(long a, long b, long c)
{
	if (leaf_g == 6)
		return a;
	return b;
}

long leaf_div(long a, long b, long c)
{
	return a / ((b & 7) + 1) + a % ((c & 7) + 1);
}

long leaf_double(long a, long b, long c)
{
	return (long)((double)a * 1.5 + (double)b);
}

long leaf_short(long a, long b, long c)
{
	return 0;
}

long leaf_address(long a, long b, long c)
{
	return (long)&leaf_table[a & 7] - (long)leaf_table + c;
}

long leaf_const(long a, long b, long c)
{
	return leaf_g = 6;
}
