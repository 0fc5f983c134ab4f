package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// completions returns the completion scripts by shell. The scripts complete
// commands, flags, lists, and the IDs of entries, which they get from the
// board.
func completions() map[string]func() string {
	return map[string]func() string{"bash": bash, "zsh": zsh, "fish": fish}
}

// names returns the flags of a command.
func (c command) names() (list []string) {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	var call call
	call.settings.flags(f)
	if c.flags != nil {
		c.flags(f, &call)
	}
	f.VisitAll(func(f *flag.Flag) { list = append(list, "-"+f.Name) })
	return list
}

// words returns the known arguments of a command, and whether it accepts IDs.
func (c command) words() (list string, ids bool) {
	switch {
	case strings.HasPrefix(c.args, "["), c.name == "completion":
		return strings.NewReplacer("[", "", "]", "", "|", " ").Replace(c.args), false
	default:
		return "", strings.HasPrefix(c.args, "ID")
	}
}

// wantedList returns the list that contains the IDs for a command.
func (c command) wantedList() string {
	switch c.name {
	case "complete", "fail", "reject":
		return "waiting"
	case "retry":
		return "attention"
	default:
		return "all"
	}
}

func commandNames() string {
	var list []string
	for _, c := range commands() {
		list = append(list, c.name)
	}
	return strings.Join(append(list, "help"), " ")
}

func bash() string {
	var b strings.Builder
	b.WriteString("# bash completion for latchkey: source <(latchkey completion bash)\n_latchkey() {\n")
	b.WriteString("  local cur=${COMP_WORDS[COMP_CWORD]} words=\"\"\n")
	_, _ = fmt.Fprintf(&b, "  if ((COMP_CWORD == 1)); then words=\"%s\"; else\n    case ${COMP_WORDS[1]} in\n", commandNames())
	for _, c := range commands() {
		words, ids := c.words()
		_, _ = fmt.Fprintf(&b, "      %s) if [[ $cur == -* ]]; then words=\"%s\"; else words=\"%s\"", c.name, strings.Join(c.names(), " "), words)
		if ids {
			_, _ = fmt.Fprintf(&b, "\"$(latchkey list -q %s 2>/dev/null)\"", c.wantedList())
		}
		b.WriteString("; fi ;;\n")
	}
	b.WriteString("    esac\n  fi\n  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -o default -F _latchkey latchkey\n")
	return b.String()
}

func zsh() string {
	return "#compdef latchkey\n# zsh completion for latchkey: source <(latchkey completion zsh)\nautoload -U +X bashcompinit && bashcompinit\n" + bash()
}

func fish() string {
	var b strings.Builder
	b.WriteString("# fish completion for latchkey: latchkey completion fish | source\n")
	for _, c := range commands() {
		_, _ = fmt.Fprintf(&b, "complete -c latchkey -n __fish_use_subcommand -f -a %s -d '%s'\n", c.name, strings.ReplaceAll(c.about, "'", "’"))
		for _, name := range c.names() {
			_, _ = fmt.Fprintf(&b, "complete -c latchkey -n '__fish_seen_subcommand_from %s' -o %s\n", c.name, strings.TrimPrefix(name, "-"))
		}
		words, ids := c.words()
		if ids {
			words = fmt.Sprintf("(latchkey list -q %s 2>/dev/null)", c.wantedList())
		}
		if words != "" {
			_, _ = fmt.Fprintf(&b, "complete -c latchkey -n '__fish_seen_subcommand_from %s' -f -a '%s'\n", c.name, words)
		}
	}
	return b.String()
}
