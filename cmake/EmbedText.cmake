# Writes FILES into the C source OUTPUT as the table library_files of sema/sema.h.
set(text "#include \"sema/sema.h\"\n\nconst LibraryFile library_files[] = {\n")
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "\\\\x\\1" escaped "${bytes}")
  # A long literal is legal but slow to read; pieces of 40 bytes a line are joined by the compiler.
  string(REGEX REPLACE "((\\\\x[0-9a-f][0-9a-f])(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?(\\\\x[0-9a-f][0-9a-f])?)" "    \"\\1\"\n" lines "${escaped}")
  string(APPEND text "    {\"std/${name}\",\n${lines}    },\n")
endforeach()
string(APPEND text "    {0, 0},\n};\n")
file(WRITE ${OUTPUT} "${text}")
