// The control plane of a rehearsal: etcd, three of Kubernetes' own programs, and kwok, which plays the kubelets.
//
// They share nearly all of their dependencies, so one binary is compiled faster than five and is a third of their
// size. Which one it becomes is decided by the name it is started under; a symbolic link gives it each name.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/lifecycle"
	kwoksignals "sigs.k8s.io/kwok/pkg/utils/signals"
)

func main() {
	switch name := filepath.Base(os.Args[0]); name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kwok":
		if err := runKwok(); err != nil {
			fmt.Fprintln(os.Stderr, "kwok:", err)
			os.Exit(1)
		}
	default:
		fmt.Fprintf(os.Stderr, "%s: start me as etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok\n", name)
		os.Exit(2)
	}
}

// warmUp has a stage made ready for a node, and one for a pod. kwok does so when it sees the first of each, side by
// side, by a library that fills maps of its own and does not guard them (kwok 0.8, easycel 0.6): about one start in
// two hundred ended at once with "concurrent map writes". What is filled here is only read there.
func warmUp(ctx context.Context) error {
	for _, seen := range []any{&corev1.Node{}, &corev1.Pod{}} {
		stage := internalversion.Stage{Spec: internalversion.StageSpec{Selector: &internalversion.StageSelector{}}}
		stages, err := lifecycle.NewLifecycle([]*internalversion.Stage{&stage})
		if err != nil {
			return err
		}
		if _, err := stages.Match(ctx, &lifecycle.Event{Data: seen}); err != nil {
			return err
		}
	}
	return nil
}

// keepName has kwok go under the same name each time. It draws a UUID for it, the first of all; by that name it holds
// the nodes' leases, and under another one it would wait until those of before expire. Worse, of a pod that it meets
// before it sees itself hold the lease, it knows nothing from then on (kwok 0.8): after about one start in a hundred,
// such a pod never ran, or never ended.
func keepName() {
	const bytesOfOne = 16
	uuid.SetRand(io.MultiReader(strings.NewReader(strings.Repeat("k", bytesOfOne)), rand.Reader))
}

// runKwok reads kwok's own flags and configuration files, then runs it until it is told to stop.
func runKwok() error {
	// Kubernetes' packages put a --version into the process-wide flags, and kwok's command has one of its own.
	pflag.CommandLine = pflag.NewFlagSet(os.Args[0], pflag.ContinueOnError)

	global := pflag.NewFlagSet("global", pflag.ContinueOnError)
	global.ParseErrorsAllowlist.UnknownFlags = true
	global.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(kwoksignals.SetupSignalContext(), global)
	ctx, err := kwokconfig.InitFlags(ctx, global)
	if err != nil {
		return err
	}

	if err := warmUp(ctx); err != nil {
		return err
	}
	keepName()
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(global)
	return command.ExecuteContext(ctx)
}
