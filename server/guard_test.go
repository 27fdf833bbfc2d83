package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/logitscope/logitscope/server"
)

// aTarget gives a pattern of the router a path that it answers.
func aTarget(pattern string) string {
	_, path, _ := strings.Cut(pattern, " ")
	return strings.NewReplacer("{run}", "one", "{epoch}", "1", "{split}", "val", "{id}", "8").Replace(path)
}

// everyTarget lists a target of every route, and some that no route answers.
func everyTarget(t testing.TB) []string {
	s, err := server.New(server.Config{Addr: "127.0.0.1:8321", Web: fstest.MapFS{}})
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{"/nothing", "/api/nothing", "/assets/index-1.js"}
	for _, pattern := range server.Patterns(s) {
		targets = append(targets, aTarget(pattern))
	}
	if !slices.Contains(targets, "/api/events") || !slices.Contains(targets, "/healthz") {
		t.Fatalf("targets %q", targets)
	}
	return targets
}

// ended ends a request for what streams without end: the stream begins, and is over.
func ended(r *http.Request) {
	if r.URL.Path == "/api/events" {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	}
}

// A name that another site's DNS leads to this machine is refused, whatever is asked for.
func TestHosts(t *testing.T) {
	handler, _ := serving(t, server.Config{})
	for _, target := range everyTarget(t) {
		for _, host := range []string{
			"", "evil.example", "evil.example:8321", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example#localhost",
			"evil-localhost", "localhost.", "127.0.0.2", "127.1", "2130706433", "0x7f.1", "0.0.0.0:8321", "[::]:8321", "[::2]",
			"localhost:", "localhost:x", "localhost:80:80", "localhost:-1", "[::1", "::1]", "[localhost.evil]", "user@localhost",
			"localhost@evil.example", "localhost,evil.example", "localhost evil.example", "localhost\x00", "127.0.0.1%25evil", "10.0.0.1",
		} {
			if w := ask(handler, target, func(r *http.Request) { r.Host = host }); w.Code != http.StatusForbidden {
				t.Errorf("Host %q, %s: %d, want 403", host, target, w.Code)
			}
		}
		for _, host := range []string{"localhost", "localhost:8321", "LocalHost:1", "127.0.0.1", "127.0.0.1:8321", "[::1]", "[::1]:8321", "[0:0:0:0:0:0:0:1]:8321"} {
			if w := ask(handler, target, func(r *http.Request) {
				r.Host = host
				ended(r)
			}); w.Code == http.StatusForbidden || w.Code >= 500 {
				t.Errorf("Host %q, %s: %d", host, target, w.Code)
			}
		}
	}
}

// What asks for no path is asked for its Host too.
func TestOptionsOfEverything(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	recorded(t, filepath.Join(root, "one"))
	address, _ := started(t, root)
	for host, want := range map[string]int{"evil.example": http.StatusForbidden, "": http.StatusForbidden, "localhost": http.StatusBadRequest} {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		fmt.Fprintf(connection, "OPTIONS * HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("OPTIONS * of Host %q: %d, want %d", host, answer.StatusCode, want)
		}
		if want == http.StatusForbidden {
			checkHeaders(t, "OPTIONS *", answer.Header)
		}
	}
}

var securityHeaders = map[string]string{
	"Content-Security-Policy":      `default-src 'none'; .*script-src 'self'; .*frame-ancestors 'none'`,
	"X-Content-Type-Options":       `^nosniff$`,
	"X-Frame-Options":              `^DENY$`,
	"Referrer-Policy":              `^no-referrer$`,
	"Cross-Origin-Resource-Policy": `^same-origin$`,
}

// checkHeaders holds an answer against what a browser must be told, and what it must not.
func checkHeaders(t *testing.T, target string, header http.Header) {
	t.Helper()
	for name, want := range securityHeaders {
		if got := header.Values(name); len(got) != 1 || !regexp.MustCompile(want).MatchString(got[0]) {
			t.Errorf("%s: %s is %q, want %s", target, name, got, want)
		}
	}
	if policy := header.Get("Content-Security-Policy"); strings.Contains(policy, "script-src 'self' ") || strings.Contains(policy, "unsafe-eval") {
		t.Errorf("%s: scripts are allowed by %q", target, policy)
	}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("%s: %s: %q gives other origins permission", target, name, header.Values(name))
		}
	}
}

// A frame is for pages of this machine, and only where that is asked for.
func TestFramed(t *testing.T) {
	handler, _ := serving(t, server.Config{Framed: true})
	header := ask(handler, "/", func(*http.Request) {}).Header()
	if policy := header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "frame-ancestors http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*") {
		t.Errorf("the policy is %q", policy)
	}
	if header.Get("X-Frame-Options") != "" {
		t.Errorf("X-Frame-Options is %q", header.Get("X-Frame-Options"))
	}
}

func TestHeaders(t *testing.T) {
	handler, _ := serving(t, server.Config{})
	for _, target := range everyTarget(t) {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
			w := ask(handler, target, func(r *http.Request) {
				r.Method = method
				r.Header.Set("Origin", "http://evil.example")
				r.Header.Set("Access-Control-Request-Method", "POST")
				ended(r)
			})
			checkHeaders(t, method+" "+target, w.Header())
			if method == "POST" && w.Code != http.StatusForbidden {
				t.Errorf("POST %s from another origin: %d, want 403", target, w.Code)
			}
		}
		w := ask(handler, target, func(r *http.Request) { r.Host = "evil.example" })
		checkHeaders(t, target+" of another host", w.Header())
	}
}

const token = "0123456789abcdef0123456789abcdef"

func TestTokenIsWantedBeyondLoopback(t *testing.T) {
	for _, c := range []struct {
		addr, token string
		says        string // "" where the server starts
	}{
		{"127.0.0.1:1", "", ""},
		{"localhost:1", "", ""},
		{"[::1]:1", "", ""},
		{"127.8.8.8:1", "", ""},
		{"0.0.0.0:1", "", "LOGITSCOPE_TOKEN"},
		{":1", "", "LOGITSCOPE_TOKEN"},
		{"[::]:1", "", "LOGITSCOPE_TOKEN"},
		{"192.0.2.1:1", "", "LOGITSCOPE_TOKEN"},
		{"box.example:1", "", "LOGITSCOPE_TOKEN"},
		{"localhost.example:1", "", "LOGITSCOPE_TOKEN"},
		{"127.0.0.1", "", "missing port"},
		{"0.0.0.0:1", token, ""},
		{"0.0.0.0:1", strings.ToUpper(token), ""},
		{"0.0.0.0:1", token[1:], "128 bits"},
		{"0.0.0.0:1", "01234567890123456789ab", "128 bits"}, // as base64 it would be 128 bits, as hexadecimal it has 88
		{"0.0.0.0:1", "AbCdEfGhIjKlMnOpQrStUw", ""},
		{"0.0.0.0:1", "AbCdEfGhIjKlMnOpQrStUw==", ""},
		{"0.0.0.0:1", "AbCdEf-_IjKlMnOpQrStUw", ""},
		{"0.0.0.0:1", "AbCdEf+/IjKlMnOpQrStUw", ""},
		{"0.0.0.0:1", "AbCdEfGhIjKlMnOpQrSt", "128 bits"},
		{"0.0.0.0:1", "correct horse battery staple; or so", "128 bits"},
		{"127.0.0.1:1", "short", "128 bits"},
	} {
		_, err := server.New(server.Config{Addr: c.addr, Token: c.token})
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s with token %q: %v", c.addr, c.token, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s with token %q: error %v, want one that says %q", c.addr, c.token, err, c.says)
		case err != nil && c.token != "" && strings.Contains(err.Error(), c.token):
			t.Errorf("the error tells the token: %v", err)
		}
	}
}

// A server on all addresses answers to this machine's own and to no name, and a Host that cannot be read is no host.
func TestHostsOnEveryAddress(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:8321", "[::]:8321", ":8321"} {
		handler, _ := serving(t, server.Config{Addr: addr, Token: token})
		for host, want := range map[string]int{
			"127.0.0.1:8321": 200, "localhost": 200, "": 403, "localhost:": 403, "0.0.0.0:8321": 403, "[::]:8321": 403, "evil.example": 403, "203.0.113.9": 403,
		} {
			w := ask(handler, "/healthz", func(r *http.Request) {
				r.Host = host
				r.Header.Set("Authorization", "Bearer "+token)
			})
			if w.Code != want {
				t.Errorf("on %s, Host %q: %d, want %d", addr, host, w.Code, want)
			}
		}
	}
}

func TestToken(t *testing.T) {
	var log bytes.Buffer
	handler, _ := serving(t, server.Config{Token: token, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	for _, target := range everyTarget(t) {
		for name, change := range map[string]func(*http.Request){
			"none":             func(*http.Request) {},
			"a wrong bearer":   func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token[:31]+"0") },
			"a longer bearer":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token+"0") },
			"an empty bearer":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
			"basic":            func(r *http.Request) { r.SetBasicAuth("user", token) },
			"a wrong cookie":   func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "logitscope_token", Value: "no"}) },
			"a wrong question": func(r *http.Request) { r.URL.RawQuery = "token=no" },
		} {
			w := ask(handler, target, change)
			if w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), token) {
				t.Errorf("%s with %s: %d %s, want 401", target, name, w.Code, w.Body)
			}
		}
		for name, change := range map[string]func(*http.Request){
			"the bearer": func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) },
			"the cookie": func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "logitscope_token", Value: token}) },
		} {
			w := ask(handler, target, func(r *http.Request) {
				change(r)
				ended(r)
			})
			if w.Code == http.StatusUnauthorized {
				t.Errorf("%s with %s: %d", target, name, w.Code)
			}
		}
	}
	// The page's address with the token is left at once for one without, and the browser keeps a cookie.
	w := ask(handler, "/?token="+token, nil)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/" || len(cookies) != 1 {
		t.Fatalf("the page with the token: %d, %v", w.Code, w.Header())
	}
	if c := cookies[0]; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Value != token {
		t.Errorf("cookie %v", c)
	}
	if w := ask(handler, "/", func(r *http.Request) { r.AddCookie(cookies[0]) }); w.Code != http.StatusOK {
		t.Errorf("the page with its cookie: %d", w.Code)
	}
	if strings.Contains(log.String(), token) {
		t.Errorf("the token is in the log: %s", log.String())
	}
}
