package main

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A flag overrides the environment, and the environment overrides the file.
func TestSettings(t *testing.T) {
	r := newRig(t)
	base := r.server.URL + "/ops"
	file := r.file(".config/latchkey/config", "# of ada\nurl = "+base+"\ntoken = "+token+"\noutput = json\n", 0o600)
	home := map[string]string{"HOME": r.dir}
	r.bare(home, "", "list").want(t, "the user's file", 0, `"list":"attention"`)
	r.bare(map[string]string{"HOME": r.dir, "LATCHKEY_OUTPUT": "table"}, "", "list").want(t, "environment before file", 0, "ID")
	r.bare(map[string]string{"HOME": r.dir, "LATCHKEY_OUTPUT": "table"}, "", "list", "-o", "json").want(t, "flag before environment", 0, `"list":"attention"`)
	r.bare(map[string]string{"LATCHKEY_CONFIG": file}, "", "list").want(t, "a file that the environment names", 0, `"list":"attention"`)
	r.bare(map[string]string{"XDG_CONFIG_HOME": r.dir + "/.config"}, "", "list").want(t, "XDG_CONFIG_HOME", 0, `"list":"attention"`)
	tokenFile := r.file("token", token+"\n", 0o600)
	r.bare(map[string]string{"LATCHKEY_URL": base, "LATCHKEY_TOKEN_FILE": tokenFile}, "", "list").want(t, "a token file", 0, "ID")
	r.bare(map[string]string{"LATCHKEY_URL": base, "LATCHKEY_TOKEN": "wrong"}, "", "list", "-token-file", tokenFile).want(t, "the flag before LATCHKEY_TOKEN", 0, "ID")
	r.bare(nil, "", "list", "-config", r.file("open", "url = "+base+"\ntoken = "+token+"\n", 0o644)).want(t, "a token that others can read", 2, "chmod 600")
	r.bare(nil, "", "list", "-config", r.file("odd", "color = red\n", 0o600)).want(t, "an unknown name", 2, "line 1")
	r.bare(nil, "", "list", "-config", r.dir+"/none").want(t, "no such file", 2, "configuration file")
	r.bare(nil, "", "list").want(t, "no address", 2, "LATCHKEY_URL")
}

// A request ends after the timeout, which is a flag, a variable or a line of
// the file.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRigInMemory(t)
		r.transport = inMemory(t, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) { <-q.Context().Done() }))
		file := r.file("config", "timeout = 7s\n", 0o600)
		for name, x := range map[string]struct {
			env  map[string]string
			args []string
			want time.Duration
		}{
			"the default":     {nil, nil, 30 * time.Second},
			"the flag":        {map[string]string{"LATCHKEY_TIMEOUT": "5s", "LATCHKEY_CONFIG": file}, []string{"-timeout", "3s"}, 3 * time.Second},
			"the environment": {map[string]string{"LATCHKEY_TIMEOUT": "5s", "LATCHKEY_CONFIG": file}, nil, 5 * time.Second},
			"the file":        {map[string]string{"LATCHKEY_CONFIG": file}, nil, 7 * time.Second},
		} {
			begun := time.Now()
			r.with(x.env, "", append([]string{"list"}, x.args...)...).want(t, name, exitUnavailable, "can't be reached")
			if took := time.Since(begun); took != x.want {
				t.Errorf("%s: the request took %v, want %v", name, took, x.want)
			}
		}
		for _, bad := range []string{"0s", "-1s", "soon"} {
			r.latchkey("list", "-timeout", bad).want(t, bad, exitUsage, "-timeout")
			r.with(map[string]string{"LATCHKEY_TIMEOUT": bad}, "", "list").want(t, bad, exitUsage, "-timeout")
		}
	})
}

// The configuration file may name a file with the token. Other users may then
// read the configuration file.
func TestTokenFileInFile(t *testing.T) {
	r := newRigInMemory(t)
	tokens := r.file("token", token+"\n", 0o600)
	config := func(text string) string { return r.file("config", "url = "+r.url+"\n"+text, 0o644) }
	r.bare(nil, "", "list", "-config", config("token-file = "+tokens+"\n")).want(t, "a token file", 0, "ID")
	r.bare(nil, "", "list", "-config", config("token-file = "+r.file("wrong", "wrong", 0o600)+"\n")).want(t, "a wrong token", 3, "sign-in")
	r.bare(map[string]string{"LATCHKEY_TOKEN_FILE": tokens}, "", "list", "-config", config("token-file = "+r.dir+"/none\n")).want(t, "the environment before the file", 0, "ID")
	r.bare(nil, "", "list", "-config", config("token-file = "+r.dir+"/none\n")).want(t, "no such file", 2, "token file")
	r.bare(nil, "", "list", "-config", config("token-file = "+r.file("empty", "\n", 0o600)+"\n")).want(t, "an empty file", 2, "is empty")
	r.bare(nil, "", "list", "-config", config("token-file = "+r.file("two", "a b", 0o600)+"\n")).want(t, "a token with a space", 2, "without spaces")
}
