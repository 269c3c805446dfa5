"""What training is built on, in a minute and without any picture from outside: `python -m unittest training.test_training`.

ACEPP_TEST_DEVICE=cuda runs the steps on a GPU.
"""

import argparse
import contextlib
import io
import os
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch

from . import autoencoder, checkpoint, device, export, instructions, latent_map, principal, samples, scenes, tokenizers, train
from .examples import Store, encode_scene, unshuffle
from .networks import AutoEncoder
from .objective import velocity_error, Draw, joined, loss_of

WHERE = torch.device(os.environ.get("ACEPP_TEST_DEVICE", "cpu"))


def drawn(count: int, side: int = 64) -> torch.Tensor:
    """[B, 3, side, side] in [-1, 1], without photographs or pictured things"""
    pictures = [scenes.background(np.random.default_rng(seed), side, side, scenes.DRAWN) for seed in range(count)]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) * 2 - 1


def scene() -> samples.Scene:
    ground = (scenes.background(np.random.default_rng(3), 128, 128, scenes.DRAWN) * 255).astype(np.uint8)
    mask = np.zeros((128, 128), np.uint8)
    mask[40:80, 40:80] = 1
    return samples.Scene({"absent": ground, "hole": np.where(mask[..., None] == 1, 127, ground).astype(np.uint8)}, {"hole": mask},
                         [{"task": "remove", "edit": "hole", "target": "absent", "mask": "hole", "text": "remove it", "references": 0}])


class LinearStart(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.pictures = drawn(48)
        self.net = AutoEncoder().eval()
        self.rows = principal.components(self.pictures)
        principal.begin_linear(self.net, self.rows, self.pictures)

    @torch.no_grad()
    def test_the_encoder_computes_the_principal_components(self):
        wanted = torch.einsum("kc,bchw->bkhw", self.rows, torch.nn.functional.pixel_unshuffle(self.pictures, 8))
        error = (self.net.encode(self.pictures) - wanted).var() / wanted.var()
        self.assertLess(error.item(), 0.05)

    @torch.no_grad()
    def test_the_decoder_draws_from_them(self):
        self.assertGreater(autoencoder.psnr(self.net.decode(self.net.encode(self.pictures)), self.pictures), 22)

    def test_steps_lower_the_error_and_resume_where_they_stopped(self):
        one = autoencoder.Training(self.net, self.rows, WHERE)
        batch = self.pictures[:6].to(WHERE)
        errors = [one.advance(batch)[1] for _ in range(12)]
        self.assertLess(errors[-1], errors[0])
        other = autoencoder.Training(AutoEncoder(), self.rows, WHERE)
        other.resume(one.state())
        torch.manual_seed(1)
        expected = one.advance(batch)
        torch.manual_seed(1)
        self.assertEqual(other.advance(batch), expected)

    def test_the_decoder_alone_leaves_the_encoder_as_it_is(self):
        one = autoencoder.Training(self.net, None, WHERE)
        before = {name: p.clone() for name, p in self.net.named_parameters()}
        one.advance(self.pictures[:4].to(WHERE))
        moved = {name.partition(".")[0] for name, p in self.net.named_parameters() if not torch.equal(p, before[name])}
        self.assertEqual(moved, {"decoder"})

    def test_a_checkpoint_gives_back_nearly_the_same_network(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "ae.safetensors")
            checkpoint.save(self.net, file, self.rows, 7)
            net, kept = checkpoint.load(file)
        self.assertEqual(kept["step"], 7)
        with torch.no_grad():
            self.assertGreater(autoencoder.psnr(net.decode(net.encode(self.pictures)), self.net.decode(self.net.encode(self.pictures))), 35)


class Transformer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.manual_seed(0)
        np.random.seed(0)
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        for kind in ("t5", "clip"):
            tokenizers.make(cls.folder / kind, [*instructions.REMOVE, *instructions.FILL] * 20, kind)
        cls.tokens = tokenizers.TextTokens(cls.folder)
        cls.vae = AutoEncoder().eval()
        cls.examples = encode_scene(cls.vae, scene())

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def model(self):
        model = train.new_model(self.tokens, (1.0, 1.0))
        # Its last layer begins at zero, which nothing could be told from.
        torch.nn.init.normal_(model.flux.final_layer.linear.weight, std=0.1)
        model.networks.to(WHERE)
        return model

    @torch.no_grad()
    def test_turned_latents_give_the_turned_velocity(self):
        model = self.model()
        turn = torch.linalg.qr(torch.randn(16, 16))[0]
        clean, edit, mask = joined(self.examples, WHERE)
        draw = Draw(torch.full((1,), 0.7, device=WHERE), torch.randn_like(clean), torch.ones(1, device=WHERE))
        old = lambda x: torch.einsum("kc,bchw->bkhw", turn.to(WHERE), x)
        expected, _ = velocity_error(model, (old(clean), old(edit), mask), ["remove it"], Draw(draw.sigma, old(draw.noise), draw.guidance))
        untouched, _ = velocity_error(model, (clean, edit, mask), ["remove it"], draw)
        latent_map.apply(model.flux.cpu(), turn, torch.zeros(16))
        model.flux.to(WHERE)
        turned, _ = velocity_error(model, (clean, edit, mask), ["remove it"], draw)
        self.assertLess(((turned - expected).abs().mean() / expected.mean()).item(), 0.02)
        self.assertGreater(((untouched - expected).abs().mean() / expected.mean()).item(), 0.02)

    def test_steps_on_one_example_lower_the_loss_and_resume(self):
        one = train.Training(self.model())
        losses = [one.step(self.examples * 8, 1.0) for _ in range(16)]
        self.assertLess(np.mean(losses[-4:]), np.mean(losses[:4]))
        other = train.Training(self.model())
        other.resume(one.state())
        self.assertEqual(other.steps, 16)
        for mine, theirs in zip(one.networks.parameters(), other.networks.parameters()):
            torch.testing.assert_close(mine, theirs)

    def test_what_is_exported_is_read_back(self):
        model = self.model()
        with torch.no_grad():
            before = model.flux.img_in.weight.clone()
        export.export(self.folder, model.flux, model.t5, model.clip)
        export.export_autoencoder(self.folder, self.vae)
        again = train.new_model(self.tokens)
        export.load(self.folder, again.flux, again.t5, again.clip)
        torch.testing.assert_close(again.flux.img_in.weight, before.cpu(), atol=before.abs().max().item() / 127, rtol=0)
        vae, _ = checkpoint.load(self.folder / "ae.safetensors")
        torch.testing.assert_close(vae.encoder.conv_in.weight, self.vae.encoder.conv_in.weight, atol=1e-3, rtol=0)

    def test_latents_of_another_encoder_are_kept_apart(self):
        self.assertNotEqual(Store(self.folder, self.vae).folder, Store(self.folder, AutoEncoder()).folder)

    def test_guidance_is_what_the_model_is_trained_at(self):
        self.assertTrue(torch.isfinite(loss_of(self.model(), self.examples)))
        self.assertEqual(train.new_model(self.tokens, (1.0, 1.0)).guidance, (1.0, 1.0))


class Device(unittest.TestCase):
    @unittest.skipIf(torch.cuda.is_available(), "there is a GPU")
    def test_without_a_gpu_cuda_is_refused_with_a_remedy(self):
        parser = argparse.ArgumentParser()
        device.add_arguments(parser)
        with self.assertRaisesRegex(SystemExit, "finds no GPU"):
            device.start(parser.parse_args(["--device", "cuda"]))

    def test_an_unknown_device_is_refused(self):
        parser = argparse.ArgumentParser()
        device.add_arguments(parser)
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            parser.parse_args(["--device", "tpu"])


class Masks(unittest.TestCase):
    def test_a_mask_is_packed_as_pixels_of_its_latent(self):
        mask = np.zeros((16, 16), np.uint8)
        mask[3, 8] = 1
        packed = unshuffle(mask)
        self.assertEqual(packed.nonzero().tolist(), [[3 * 8, 0, 1]])


if __name__ == "__main__":
    unittest.main()
