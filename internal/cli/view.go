package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/logitscope/logitscope/push"
	"github.com/logitscope/logitscope/server"
	"github.com/logitscope/logitscope/web"
)

func newView() *cobra.Command {
	var web webFlags
	var accept, notebook bool
	cmd := &cobra.Command{
		Use:   "view [DIR]",
		Short: "The dashboard over a run, or over a folder of runs",
		Example: `  logitscope view
  logitscope view runs/digits
  logitscope view runs --addr 127.0.0.1:0
  LOGITSCOPE_TOKEN=$(openssl rand -hex 16) logitscope view runs --accept   # take runs that others push`,
		Args: asInUse,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "runs"
			if len(args) == 1 {
				dir = args[0]
			}
			if accept {
				receiver, err := acceptInto(dir)
				if err != nil {
					return err
				}
				defer receiver.Close()
				web.accept = receiver
			}
			const give = "give a run or a folder of runs, or make one with logitscope demo"
			info, err := os.Stat(dir)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("there is no folder %s: %s", dir, give)
			case err != nil:
				return fmt.Errorf("%w: %s", err, give)
			case !info.IsDir():
				return fmt.Errorf("%s is a file: %s", dir, give)
			}
			listener, err := web.listen()
			if err != nil {
				return err
			}
			if !notebook {
				if !accept && !holdsRun(dir) {
					cmd.PrintErrf("%s holds no run yet: make one with logitscope train --out %s, or logitscope.record(%q) in Python, and the page shows it\n",
						dir, filepath.Join(dir, "mine"), filepath.ToSlash(filepath.Join(dir, "mine")))
				}
				return web.serve(cmd, listener, dir, nil)
			}
			web.framed = true
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			cmd.SetContext(ctx)
			go func() {
				_, _ = io.Copy(io.Discard, cmd.InOrStdin())
				cancel()
			}()
			return web.serve(cmd, listener, dir, nil)
		},
	}
	web.add(cmd.Flags())
	cmd.Flags().BoolVar(&accept, "accept", false, "take runs that others push to DIR, who must know LOGITSCOPE_TOKEN (logitscope push)")
	cmd.Flags().BoolVar(&notebook, "notebook", false, "let pages of this machine show the dashboard in a frame, and end with standard input: for notebooks")
	return cmd
}

// holdsRun reports whether dir is a run, or a folder with one that the dashboard lists: in it, or in a folder of it.
func holdsRun(dir string) bool {
	for _, pattern := range []string{"manifest.json", "*/manifest.json", "*/*/manifest.json"} {
		if found, _ := fs.Glob(os.DirFS(dir), pattern); len(found) > 0 {
			return true
		}
	}
	return false
}

// acceptInto returns a receiver of runs that writes into the folder dir, which is made where it is missing.
func acceptInto(dir string) (*push.Receiver, error) {
	if os.Getenv("LOGITSCOPE_TOKEN") == "" {
		return nil, usagef("--accept wants a token: set LOGITSCOPE_TOKEN to a secret (openssl rand -hex 16)")
	}
	if _, err := os.Stat(filepath.Join(dir, "manifest.json")); err == nil {
		return nil, usagef("--accept: %s is a run: name a folder of runs", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return push.NewReceiver(dir, push.DefaultLimits)
}

// webFlags holds the flags of the commands that serve the dashboard, and what these commands say to serve.
type webFlags struct {
	addr string
	what string // what is served, in words; "" for the folder of the runs
	path string // the path of the page to open

	accept *push.Receiver // writes the runs that are pushed; nil where they are refused
	framed bool           // whether pages of this machine may show the dashboard in a frame
}

func (f *webFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8321", "address to serve on; port 0 takes a free one")
}

// listen opens the address, so that one that is in use is reported before anything slow begins.
func (f *webFlags) listen() (net.Listener, error) {
	host, _, err := net.SplitHostPort(f.addr)
	if err != nil {
		return nil, usagef("--addr %q: give HOST:PORT, such as 127.0.0.1:8321", f.addr)
	}
	if host == "" {
		return nil, usagef("--addr %q names no host: use 127.0.0.1%s for this machine alone", f.addr, f.addr)
	}
	listener, err := net.Listen("tcp", f.addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use: choose another port with --addr, or --addr %s for a free one", f.addr, net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("%w: choose another with --addr", err)
	}
	return listener, nil
}

// serve serves the dashboard over root until Ctrl-C. work, where it is not nil, runs meanwhile, and an error of it ends the serving.
func (f *webFlags) serve(cmd *cobra.Command, listener net.Listener, root string, work func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(cmd.Context())
	defer cancel(nil)
	addr := f.listening(listener)
	srv, err := server.New(server.Config{
		Root:   root,
		Addr:   addr,
		Token:  os.Getenv("LOGITSCOPE_TOKEN"),
		Web:    web.FS(),
		Accept: f.accept,
		Framed: f.framed,
		Log:    slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		listener.Close()
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "serving %s on %s\n", cmp.Or(f.what, root), page(addr, f.path)); err != nil {
		listener.Close()
		return err
	}
	defer endsInOrder(ctx)()
	worked := make(chan error, 1)
	go func() {
		var err error
		if work != nil {
			err = work(ctx)
		}
		if err != nil {
			cancel(err)
		}
		worked <- err
	}()
	served := srv.Serve(ctx, listener)
	if served != nil {
		cancel(served)
	}
	return errors.Join(<-worked, served)
}

// listening returns the host of --addr, which a browser will send in its Host header, with the port that the listener has.
func (f *webFlags) listening(listener net.Listener) string {
	host, _, err := net.SplitHostPort(f.addr)
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && err == nil {
		return net.JoinHostPort(host, strconv.Itoa(tcp.Port))
	}
	return listener.Addr().String()
}

// page returns the address of a page of the server on addr, in words where the server listens on every address.
func page(addr, path string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && ip.IsUnspecified() {
		return fmt.Sprintf("http://127.0.0.1:%s/%s and every other address of this machine", port, path)
	}
	return "http://" + addr + "/" + path
}
