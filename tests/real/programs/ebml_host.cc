/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that writes and parses EBML with libebml: a line for each line, see ebml.py. */
#include <cstdint>
#include <cstring>
#include <iostream>
#include <sstream>
#include <string>

#include "ebml/EbmlContexts.h"
#include "ebml/EbmlHead.h"
#include "ebml/EbmlStream.h"
#include "ebml/EbmlSubHead.h"
#include "ebml/MemIOCallback.h"
#include "ebml/StdIOCallback.h"

using namespace libebml;

/* A head with that type of document, written to memory and read from there. */
static std::string parse(const std::string &text)
{
	MemIOCallback memory;
	EbmlHead head;
	EbmlElement *found, *upper = nullptr;
	std::string answer = "none";
	int level = 0;

	static_cast<EbmlString &>(GetChild<EDocType>(head)) = text;
	head.Render(memory, true);
	memory.setFilePointer(0);
	EbmlStream stream(memory);
	found = stream.FindNextID(EBML_INFO(EbmlHead), 0xffff);
	if (found) {
		EbmlHead *read = static_cast<EbmlHead *>(found);

		read->Read(stream, EBML_CONTEXT(read), level, upper, true);
		answer = static_cast<const std::string &>(static_cast<EbmlString &>(GetChild<EDocType>(*read)));
		delete found;
	}
	return answer;
}

/* The library throws. */
static std::string missing()
{
	try {
		StdIOCallback file("/no/such/file", MODE_READ);
	} catch (const CRTError &e) {
		return "caught " + std::to_string(e.getError());
	}
	return "opened";
}

/* Two bytes are left; more are asked for than there are numbers for. */
static std::string overflow()
{
	MemIOCallback memory;
	char buffer[16] = "";

	memory.write("0123456789", 10);
	memory.setFilePointer(8);
	uint32 n = memory.read(buffer, SIZE_MAX - 7);
	return std::to_string(n) + " " + buffer;
}

int main()
{
	std::string line;

	while (std::getline(std::cin, line)) {
		size_t blank = line.find(' ');
		std::string what = line.substr(0, blank);

		if (what == "parse")
			std::cout << parse(line.substr(blank + 1));
		else if (what == "missing")
			std::cout << missing();
		else
			std::cout << overflow();
		std::cout << std::endl;
	}
	return 0;
}
