package main

import (
	"strings"
	"testing"
	"unicode"
)

func TestPrintable(t *testing.T) {
	for _, plain := range []string{"Ada, train tickets (€84.20)", "Zoë", "日本"} {
		if got := printable(plain); got != plain {
			t.Errorf("%q is printed as %s, want as it is", plain, got)
		}
	}
	for _, crafted := range []string{"Ada\nDecided: all", "\x1b[2J", "\x1b]0;title\a", "a\u202eb", "a\u2066b", "\x9b2J", "a\r", "caf\xe9", "\u200b"} {
		got := printable(crafted)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) || got == crafted {
			t.Errorf("%q is printed as %s", crafted, got)
		}
	}
}
