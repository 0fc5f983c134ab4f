package main

import "strconv"

// printable makes text from other people safe for a terminal. It quotes text with
// characters that do not print, such as ESC, line breaks and bidirectional
// overrides, because these can change what the screen shows.
func printable(s string) string {
	if quoted := strconv.Quote(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}
