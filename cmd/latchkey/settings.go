package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// settings are the settings of all commands. A flag overrides the environment,
// which overrides the file.
type settings struct {
	url, tokenFile, output, timeoutText, config string

	token   string
	base    *url.URL
	timeout time.Duration
	json    bool
}

func (s *settings) flags(f *flag.FlagSet) {
	f.StringVar(&s.url, "url", "", "the address of the board, `https://…`")
	f.StringVar(&s.tokenFile, "token-file", "", "a `file` with the bearer token")
	f.StringVar(&s.output, "o", "", "the `format` of the output: table or json")
	f.StringVar(&s.timeoutText, "timeout", "", "the `time` that a request can take (default 30s)")
	f.StringVar(&s.config, "config", "", "a `file` of lines \"name = value\"")
}

// fileNames are the possible names of a configuration file.
var fileNames = map[string]bool{"url": true, "token": true, "token-file": true, "output": true, "timeout": true}

// complete adds the settings of the environment and the file, and checks all of
// them.
func (s *settings) complete(f *flag.FlagSet, env func(string) (string, bool)) error {
	given := make(map[string]bool)
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	values, err := s.file(given["config"], env)
	if err != nil {
		return err
	}
	for name, to := range map[string]*string{"url": &s.url, "token-file": &s.tokenFile, "output": &s.output, "timeout": &s.timeoutText} {
		if given[name] || name == "output" && given["o"] {
			continue
		}
		if v, ok := env("LATCHKEY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))); ok && v != "" {
			*to = v
		} else {
			*to = values[name]
		}
	}
	switch s.output {
	case "", "table":
	case "json":
		s.json = true
	default:
		return usage("-o must be table or json, got %q", clean(s.output))
	}
	s.timeout = 30 * time.Second
	if s.timeoutText != "" {
		if s.timeout, err = time.ParseDuration(s.timeoutText); err != nil || s.timeout <= 0 {
			return usage("-timeout must be a positive duration such as 30s, got %q", clean(s.timeoutText))
		}
	}
	if err := s.findToken(given["token-file"], env, values["token"]); err != nil {
		return err
	}
	return s.checkURL()
}

// findToken reads the token from the most direct source.
func (s *settings) findToken(flagged bool, env func(string) (string, bool), inFile string) error {
	if v, ok := env("LATCHKEY_TOKEN"); ok && v != "" && !flagged {
		s.token = v
	} else if s.tokenFile != "" {
		b, err := os.ReadFile(s.tokenFile)
		if err != nil {
			return usage("the token file can't be read: %v", err)
		}
		s.token = strings.TrimSpace(string(b))
		if s.token == "" {
			return usage("the token file %s is empty", s.tokenFile)
		}
	} else {
		s.token = inFile
	}
	for _, r := range s.token {
		if r <= ' ' || r > '~' {
			return usage("the token must be printable ASCII without spaces")
		}
	}
	return nil
}

// checkURL refuses an address to which the token would be sent unencrypted over a
// network.
func (s *settings) checkURL() error {
	if s.url == "" {
		return usage("the address of the board is missing: set -url, LATCHKEY_URL, or url in the configuration file")
	}
	u, err := url.Parse(s.url)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return usage("-url must be an http or https URL without user, query and fragment")
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if u.Scheme == "http" && s.token != "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usage("-url must be https where a token is sent to another machine")
	}
	s.base = u
	return nil
}

// file reads the given configuration file, or the user's own file if it exists.
func (s *settings) file(flagged bool, env func(string) (string, bool)) (map[string]string, error) {
	path, named := s.config, flagged
	if v, ok := env("LATCHKEY_CONFIG"); !flagged && ok && v != "" {
		path, named = v, true
	}
	if !named {
		directory := ""
		if v, ok := env("XDG_CONFIG_HOME"); ok && v != "" {
			directory = v
		} else if v, ok := env("HOME"); ok && v != "" {
			directory = filepath.Join(v, ".config")
		}
		if directory == "" {
			return nil, nil
		}
		path = filepath.Join(directory, "latchkey", "config")
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return nil, nil
	}
	if err != nil {
		return nil, usage("the configuration file can't be read: %v", err)
	}
	defer func() { _ = f.Close() }()
	values := make(map[string]string)
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		name, value, ok := strings.Cut(text, "=")
		name = strings.TrimSpace(name)
		if !ok || !fileNames[name] {
			return nil, usage("%s, line %d: it must be name = value, with one of the names url, token, token-file, output, timeout", path, n)
		}
		values[name] = strings.TrimSpace(value)
	}
	if err := lines.Err(); err != nil {
		return nil, usage("the configuration file can't be read: %v", err)
	}
	if info, err := f.Stat(); values["token"] != "" && err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, usage("%s has a token and can be read by other users: run chmod 600", path)
	}
	return values, nil
}

// address returns the URL of a page of the board.
func (s *settings) address(query url.Values, parts ...string) string {
	var address strings.Builder
	address.WriteString(strings.TrimRight(s.base.String(), "/"))
	for _, p := range parts {
		address.WriteString("/" + url.PathEscape(p))
	}
	if len(parts) == 0 {
		address.WriteString("/")
	}
	if len(query) > 0 {
		address.WriteString("?" + query.Encode())
	}
	return address.String()
}

// String hides the token.
func (s *settings) String() string { return fmt.Sprintf("settings of %s", s.url) }
