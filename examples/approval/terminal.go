package main

import "strconv"

// printable returns text of a stranger as a terminal may show it: as it is, or
// quoted where it has characters that don't print, such as ESC, a line break or
// a bidirectional override. Such characters can rewrite what stands on the
// screen.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}
