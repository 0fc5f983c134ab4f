package main

import "strconv"

// printable returns text that a user typed as a terminal may show it: unchanged, or
// quoted if it has characters that don't print, such as ESC, a line break or a
// bidirectional override. Such characters can rewrite the screen.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}
