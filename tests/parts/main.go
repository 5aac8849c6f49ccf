// The parts of a Kubernetes cluster as one program.
//
// In: the name of a part and its own flags, `cluster-parts PART FLAGS…`. Out: that part, as its
// upstream release runs it. The tests start each part as a process of its own; nothing is changed
// in any of them, and CoreDNS has only the plugins a cluster's Corefile uses.
//
// One program instead of seven: they share most of their code, so this builds once and is a
// quarter of the size.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/log"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/metrics"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/reload"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Each starts with os.Args as the part itself expects them: its own name first.
var parts = map[string]func(){
	"coredns":                 runCoreDNS,
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllers.NewControllerManagerCommand),
	"kube-scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubectl":                 command(kubectl.NewDefaultKubectlCommand),
	"kubelet":                 command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
}

func main() {
	if len(os.Args) > 1 {
		if start, known := parts[os.Args[1]]; known {
			os.Args = os.Args[1:]
			start()
			return
		}
	}
	names := slices.Sorted(maps.Keys(parts))
	fmt.Fprintf(os.Stderr, "usage: cluster-parts PART FLAGS…, where PART is one of %s\n", strings.Join(names, ", "))
	os.Exit(2)
}

// A command is made only when it is asked for: each registers flags and metrics of its own.
func command(build func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(build())) }
}

// CoreDNS runs the plugins of a server block in the order of this list, not of the Corefile; it is
// the order of upstream's plugin.cfg. `loadbalance` before `cache` is what shuffles cached answers.
func runCoreDNS() {
	dnsserver.Directives = []string{
		"bind", "reload", "ready", "health", "prometheus", "errors", "log",
		"loadbalance", "cache", "kubernetes", "loop", "forward",
	}
	coremain.Run()
}
