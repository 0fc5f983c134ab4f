package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The shells that are installed can parse the completion scripts.
func TestCompletionScripts(t *testing.T) {
	r := newRigInMemory(t)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			x := r.bare(nil, "", "completion", shell)
			x.want(t, "the script", 0)
			for _, c := range commands() {
				if !strings.Contains(x.out, c.name) {
					t.Errorf("the script lacks %s", c.name)
				}
			}
			program, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("NOT TESTED: %s is not installed, so the script was not parsed", shell)
			}
			out, err := exec.CommandContext(t.Context(), program, "-n", r.file(shell, x.out, 0o600)).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%s -n: %v\n%s", shell, err, out)
			}
		})
	}
}

// bash completes commands, lists, flags, and the IDs of the list that fits the
// command. It gets the IDs from the program.
func TestCompletion(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("NOT TESTED: bash is not installed")
	}
	r := newRigInMemory(t)
	stub := "#!/bin/sh\n[ \"$1 $2\" = 'list -q' ] && [ $# = 3 ] && printf 'id-of-%s-1\\nid-of-%s-2\\n' \"$3\" \"$3\"\n"
	path := filepath.Dir(r.file("bin/latchkey", stub, 0o700)) + string(os.PathListSeparator) + os.Getenv("PATH")
	script := r.bare(nil, "", "completion", "bash").out
	for line, want := range map[string]string{
		"latchkey ":              "abandon",
		"latchkey li":            "list",
		"latchkey list se":       "settled",
		"latchkey tail at":       "attention",
		"latchkey completion z":  "zsh",
		"latchkey complete -":    "-why",
		"latchkey complete ":     "id-of-waiting-2",
		"latchkey reject id":     "id-of-waiting-1",
		"latchkey retry ":        "id-of-attention-1",
		"latchkey abandon x id-": "id-of-all-2",
		"latchkey show id-of-a":  "id-of-all-1",
		"latchkey stats ":        "",
	} {
		words := strings.Split(line, " ")
		text := fmt.Sprintf("%s\nCOMP_WORDS=(%s %q)\nCOMP_CWORD=%d\n_latchkey\nprintf '%%s\\n' \"${COMPREPLY[@]}\"\n",
			script, strings.Join(words[:len(words)-1], " "), words[len(words)-1], len(words)-1)
		cmd := exec.CommandContext(t.Context(), bash, "-c", text)
		cmd.Env = append(os.Environ(), "PATH="+path)
		out, err := cmd.CombinedOutput()
		got := strings.Fields(string(out))
		if err != nil || want != "" && !slices.Contains(got, want) || want == "" && len(got) > 0 {
			t.Errorf("%q completes to %q (%v), want %s among them", line, out, err, want)
		}
		for _, word := range got {
			if !strings.HasPrefix(word, words[len(words)-1]) {
				t.Errorf("%q completes to %q", line, word)
			}
		}
	}
}
