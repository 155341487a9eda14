/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strings, containers and a function object of the library, in new code. */
// expect: changed _Z4join.*
// also: .*
// run: 1 2 | 3 4 12
#include <algorithm>
#include <map>
#include <stdio.h>
#include <string>
#include <vector>
static std::map<int, std::string> seen;
__attribute__((noinline, noipa)) std::string join(int n)
{
	std::string s;

	seen[n] = "x" + std::to_string(n);
#ifdef AFTER
	std::vector<int> v;
	for (const auto &p : seen)
		v.push_back(p.first);
	std::sort(v.begin(), v.end(), [](int a, int b) { return a > b; });
	for (int i : v)
		s += std::to_string(i) + ",";
	if (n > 10)
		s += seen.at(n).substr(1);
#else
	for (const auto &p : seen)
		s += p.second;
#endif
	return s;
}
extern "C" __attribute__((noinline)) void probe(int n) { puts(join(n).c_str()); }
