"""What containers of a local run see."""

from sarslim.kubeflow.local import runners


def test_what_links_of_the_source_lead_to_is_mounted_too(tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setattr(runners.docker_task_handler, "run_docker_container", None)  # and restored afterwards
    for name in ("source/A", "far/B", "far/more/files", "winter"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "far" / "more" / "files" / "1.png").write_bytes(b"x")
    (tmp_path / "source" / "B").symlink_to(tmp_path / "far" / "B")
    (tmp_path / "source" / "A" / "1.png").symlink_to(tmp_path / "far" / "more" / "files" / "1.png")
    (tmp_path / "source" / "A" / "up").symlink_to("..")
    (tmp_path / "more").mkdir()
    sources = [str(tmp_path / "source"), str(tmp_path / "more"), "", "s3://raw/chips", str(tmp_path / "more")]
    runner = runners.containers(tmp_path / "root", sources)
    mounted = {mount["Target"]: mount["ReadOnly"] for mount in runner.container_run_args["mounts"] if mount["Source"]}
    wanted = ("source", "more", "far/B", "far/more/files")
    assert mounted == {str(tmp_path / name): True for name in wanted}
