# Writes the text FILE into the C source OUTPUT as the string NAME.
file(READ ${FILE} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," numbers "${bytes}")
string(REGEX REPLACE "(................................................................................)" "\\1\n" numbers "${numbers}")
file(WRITE ${OUTPUT} "extern const char ${NAME}[];\nconst char ${NAME}[] = {\n${numbers} 0};\n")
