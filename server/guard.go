package server

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard decides which requests are answered at all.
type guard struct {
	hosts map[string]bool // names and addresses that a Host header may hold, lower case, without the port
	token string
}

// A token of 128 bits has 32 hexadecimal digits or 22 of base64.
const minTokenLength = 22

func newGuard(addr, token string) (guard, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return guard{}, fmt.Errorf("address %q: %w", addr, err)
	}
	if !loopback(host) && token == "" {
		return guard{}, fmt.Errorf("%s can be reached from other machines: set LOGITSCOPE_TOKEN to a secret (openssl rand -hex 16), or serve on 127.0.0.1", addr)
	}
	if token != "" && len(token) < minTokenLength {
		return guard{}, errors.New("LOGITSCOPE_TOKEN is too short for a secret: make one with openssl rand -hex 16")
	}
	g := guard{hosts: map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true}, token: token}
	g.hosts[canonical(host)] = true
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		// Any of this machine's addresses may be in the Host header; none of them is a name that DNS could rebind.
		delete(g.hosts, canonical(host))
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

// loopback reports whether only this machine can reach host.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// canonical writes an address in its one form and a name in lower case.
func canonical(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().WithZone("").String()
	}
	return strings.ToLower(host)
}

// wrap answers only what is allowed, with the headers that keep a browser from doing more than showing the page.
func (g guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "+
			"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !g.hosts[requestHost(r)] {
			writeError(w, http.StatusForbidden, "this Host is not served: open the address that logitscope printed")
			return
		}
		if g.token != "" && !g.admit(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// requestHost returns the host of a request without its port, or "" where it is no host.
func requestHost(r *http.Request) string {
	host := r.Host
	if name, port, err := net.SplitHostPort(host); err == nil {
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return ""
		}
		host = name
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	return canonical(host)
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
	writeError(w, http.StatusUnauthorized, "a token is wanted: open /?token=… once, or send it as Authorization: Bearer")
	return false
}

func (g guard) matches(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(g.token)) == 1
}
