package server

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/logitscope/logitscope/push"
)

// guard decides which requests are answered, by their Host header and their token.
type guard struct {
	hosts map[string]bool // names and addresses that a Host header may hold, lower case, without the port
	token string

	framed bool // whether pages of this machine may show the dashboard in a frame
}

// minTokenBytes is the least length of a token: one of fewer than 128 bits could be guessed.
const minTokenBytes = 16

// strongToken reports whether token is at least minTokenBytes bytes in hexadecimal or base64, whose letters a cookie can hold. A token that can be
// read as hexadecimal is: as base64 it would count for more bits than it has.
func strongToken(token string) bool {
	if strings.Trim(strings.ToLower(token), "0123456789abcdef") == "" {
		return len(token) >= 2*minTokenBytes
	}
	unpadded := strings.TrimRight(token, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := encoding.DecodeString(unpadded); err == nil {
			return len(raw) >= minTokenBytes
		}
	}
	return false
}

func newGuard(addr, token string) (guard, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return guard{}, fmt.Errorf("address %q: %w", addr, err)
	}
	if !loopback(host) && token == "" {
		return guard{}, fmt.Errorf("%s can be reached from other machines: set LOGITSCOPE_TOKEN to a secret (openssl rand -hex 16), or serve on 127.0.0.1", addr)
	}
	if token != "" && !strongToken(token) {
		return guard{}, errors.New("LOGITSCOPE_TOKEN is no secret of 128 bits in hexadecimal or base64: make one with openssl rand -hex 16")
	}
	g := guard{hosts: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}, token: token}
	if !everyAddress(host) {
		g.hosts[canonical(host)] = true
	} else {
		// The Host header may be any address of this machine. None of them is a name, which DNS could rebind.
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			return guard{}, err
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				g.hosts[canonical(prefix.Addr().String())] = true
			}
		}
	}
	return g, nil
}

// loopback reports whether host can be reached from this machine only.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// everyAddress reports whether host stands for all addresses of this machine, as 0.0.0.0 does.
func everyAddress(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// canonical returns the standard form of an IP address, or a name in lower case.
func canonical(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.ToLower(host)
}

// maxHeaderBytes is the most bytes of a request's line and headers. maxAddressBytes is the most that is read of them where only this machine can ask:
// an address of Learn that holds too many logits is answered by its page, which says so.
const (
	maxHeaderBytes  = 16 << 10
	maxAddressBytes = 4 << 20
)

// headerBytes returns how many bytes of a request's line and headers are read.
func (g guard) headerBytes() int {
	if g.token == "" {
		return maxAddressBytes
	}
	return maxHeaderBytes
}

// headerSize returns the bytes of a request's line and headers, without the address of a page of Learn, which may have any length.
func headerSize(r *http.Request) int {
	size := len(r.RequestURI)
	if strings.HasPrefix(r.URL.Path, "/learn/") {
		size = 0
	}
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value) + len(": \r\n")
		}
	}
	return size
}

// wrap passes the requests that are allowed to next, and refuses the others. Every answer has the headers that restrict a browser to showing the page.
func (g guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		ancestors := "'none'"
		if g.framed {
			ancestors = "http://127.0.0.1:* http://localhost:* https://127.0.0.1:* https://localhost:*"
		} else {
			h.Set("X-Frame-Options", "DENY")
		}
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "+
			"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors "+ancestors)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if headerSize(r) > maxHeaderBytes {
			refuse(w, r, http.StatusRequestHeaderFieldsTooLarge, "the request's headers are too large")
			return
		}
		if host, ok := requestHost(r); !ok || !g.hosts[host] {
			refuse(w, r, http.StatusForbidden, "this Host is not served: open the address that logitscope printed")
			return
		}
		if g.token != "" && !g.admit(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requestHost returns the host that a request asks for, without its port, and whether there is one.
func requestHost(r *http.Request) (host string, ok bool) {
	host = r.Host
	if name, port, err := net.SplitHostPort(host); err == nil {
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return "", false
		}
		host = name
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return canonical(host), host != ""
}

const tokenCookie = "logitscope_token"

// admit reports whether the request carries the token: as a bearer, in the cookie, or once in the page's address, which
// is then exchanged for the cookie.
func (g guard) admit(w http.ResponseWriter, r *http.Request) bool {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && g.matches(bearer) {
		return true
	}
	if cookie, err := r.Cookie(tokenCookie); err == nil && g.matches(cookie.Value) {
		return true
	}
	if r.Method == http.MethodGet && r.URL.Path == "/" && g.matches(r.URL.Query().Get("token")) {
		http.SetCookie(w, &http.Cookie{
			Name: tokenCookie, Value: g.token, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		})
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return false
	}
	w.Header().Set("WWW-Authenticate", "Bearer")
	text := "a token is wanted: open /?token=… once, or send it as Authorization: Bearer"
	if r.Header.Get("Authorization") != "" {
		text = "the token is not this server's: want LOGITSCOPE_TOKEN, as the server was started with, as Authorization: Bearer"
	}
	refuse(w, r, http.StatusUnauthorized, text)
	return false
}

// refuse answers a request that goes no further, in the form in which the route that it asks for tells errors.
func refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if strings.HasPrefix(r.URL.Path, "/api/push/") {
		push.Problem(w, status, text)
		return
	}
	writeError(w, status, text)
}

func (g guard) matches(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}
