// Real servers and clients of the Go world: gRPC, HTTP, and Go's own resolver.
//
//	clients grpc-serve ADDRESS MAX_AGE       a gRPC server; 0 keeps connections for ever
//	clients grpc TARGET POLICY RESOLVE_EVERY a gRPC channel; the shortest time from one lookup to the next, 0 is grpc-go's
//	clients http-serve ADDRESS               an HTTP server
//	clients net NAME PORT                    connections by Go's resolver
//
// Servers write a line when they are ready. Clients read numbers, a line each: that many calls or connections, one after
// the other; and answer each with a line: those that went well, those that failed. All end with their input, or after five
// minutes.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/resolver/dns"
)

const patience = 10 * time.Second

func main() {
	time.AfterFunc(5*time.Minute, func() { os.Exit(1) })
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(words []string) error {
	if len(words) == 0 {
		return errors.New("no role")
	}
	role, words := words[0], words[1:]
	wanted, known := map[string]int{"grpc-serve": 2, "grpc": 3, "http-serve": 1, "net": 2}[role]
	if !known || len(words) != wanted {
		return fmt.Errorf("%s: no such role, or not its words", role)
	}
	switch role {
	case "grpc-serve":
		return serveGRPC(words[0], words[1])
	case "grpc":
		return callGRPC(words[0], words[1], words[2])
	case "http-serve":
		return serveHTTP(words[0])
	default:
		return dial(net.JoinHostPort(words[0], words[1]))
	}
}

// untilEnd says that a server is ready, and returns when the input ends.
func untilEnd() error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func serveGRPC(address, maxAge string) error {
	age, err := time.ParseDuration(maxAge)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	var options []grpc.ServerOption
	if age > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionAge: age, MaxConnectionAgeGrace: age,
		}))
	}
	server := grpc.NewServer(options...)
	healthpb.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(listener) }()
	return untilEnd()
}

func callGRPC(target, policy, resolveEvery string) error {
	every, err := time.ParseDuration(resolveEvery)
	if err != nil {
		return err
	}
	if every > 0 {
		dns.SetMinResolutionInterval(every)
	}
	config := fmt.Sprintf(`{"loadBalancingConfig":[{%q:{}}]}`, policy)
	channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(config))
	if err != nil {
		return err
	}
	defer channel.Close()
	client := healthpb.NewHealthClient(channel)
	return answer(func() error {
		limited, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := client.Check(limited, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err
	})
}

func serveHTTP(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }),
		ReadHeaderTimeout: patience,
	}
	go func() { _ = server.Serve(listener) }()
	return untilEnd()
}

func dial(address string) error {
	dialer := net.Dialer{Timeout: patience, Resolver: &net.Resolver{PreferGo: true}}
	return answer(func() error {
		connection, err := dialer.Dial("tcp", address)
		if err == nil {
			err = connection.Close()
		}
		return err
	})
}

// answer does what is asked for on the input, and says how it went.
func answer(once func() error) error {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		count, err := strconv.Atoi(lines.Text())
		if err != nil {
			return err
		}
		made, failed := 0, 0
		for range count {
			if once() == nil {
				made++
			} else {
				failed++
			}
		}
		fmt.Println(made, failed)
	}
	return lines.Err()
}
